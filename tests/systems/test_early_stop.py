"""An early stop without data to validate by is refused by every system, before its run folder is made."""

import pytest
from tiny import configuration, data

from latentcore import systems, train


@pytest.mark.parametrize("name", sorted(systems.catalogue.own))
def test_it_is_one_message_and_no_folder(tmp_path, name):
    found, more = data(name, tmp_path)
    config = configuration(name, epochs=1, early_stop=3, validation=0.0)
    with pytest.raises(ValueError, match=r"TrainConfig\.early_stop: expected 0 without validation data \(.*, got 3"):
        train(name, found, config=config, run_dir=tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", sorted(systems.catalogue.own))
def test_with_such_data_it_ends_a_training(tmp_path, name):
    found, more = data(name, tmp_path)
    config = configuration(name, epochs=30, early_stop=1, validation=0.25, learning_rate=0.0, batch_size=24)
    run = train(name, found, config=config, run_dir=tmp_path / "run", **more)
    assert len((run.folder / "metrics.csv").read_text().splitlines()) - 1 < 30
