"""An early stop without data to validate by is refused by every system, before its run folder is made."""

import pytest
from tiny import configuration, data

from latentcore import resume, systems, train


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


def test_a_share_of_few_images_is_none_or_all(tmp_path):
    found, _ = data("gan", tmp_path)
    for share in (0.001, 0.99):
        with pytest.raises(ValueError, match=r"TrainConfig\.validation: expected 0, or a share of 30 images that"):
            train("gan", found[:30], config=configuration("gan", validation=share), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_what_it_was_validated_by(tmp_path):
    found, _ = data("gan", tmp_path)
    config = configuration("gan", epochs=2, batch_size=24)
    train("gan", found[:60], config=config, validation=found[60:], run_dir=tmp_path / "run")
    for wrong, got in (({}, "none"), ({"validation": found[60:80]}, "others")):
        with pytest.raises(ValueError, match=f"validation: expected those with which .* began, got {got}"):
            resume(tmp_path / "run", found[:60], **wrong)
    resume(tmp_path / "run", found[:60], validation=found[60:])
