"""Events of electrons and photons: their parts, how they are read, and the configuration that says so."""

import dataclasses
import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from small_events import CONFIG, with_events, with_train, write_events

from latentcore import load_run, resume, train
from latentcore.data import registry
from latentcore.data.egamma import EgammaFiles
from latentcore.models import EventClassifier, ResNetConfig
from latentcore.systems.egamma import SYSTEM
from latentcore.systems.egamma.config import PRESETS, EgammaConfig, EventsConfig
from latentcore.systems.egamma.parts import EVENTS, divided
from latentcore.systems.egamma.sources import StreamedEvents
from latentcore.training import Augmentation, TrainConfig
from latentcore.training.plan import Plan


def of_shares(validation, test):
    return dataclasses.replace(with_train(validation=validation), events=EventsConfig(test=test))


def test_a_scaled_event_is_what_the_network_sees():
    model = EventClassifier(CONFIG.resnet).eval()
    events = torch.rand(3, 2, 8, 8)
    model.scale_by((0.5, 0.1), (2.0, 3.0))
    scaled = (events - torch.tensor([0.5, 0.1]).view(2, 1, 1)) * torch.tensor([2.0, 3.0]).view(2, 1, 1)
    torch.testing.assert_close(model(events), model.network(scaled))
    torch.testing.assert_close(model.features(events), model.network.features(scaled))


def test_parts_are_disjoint_and_have_the_same_share_of_electrons(events):
    parts = divided(events, None, of_shares(0.1, 0.1))
    rows = [parts.train, parts.validation, parts.test]
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(600))
    assert [parts.files.labels[part].mean() for part in rows] == pytest.approx([0.5] * 3)
    two = divided(events, None, of_shares(0, 0.2))
    assert (len(two.train), two.validation, len(two.test)) == (480, None, 120)


def test_a_test_file_of_its_own(events, tmp_path):
    other = write_events(tmp_path / "other.h5", 70, seed=1)
    parts = divided(events, [other], of_shares(0.1, 0.1))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (540, 60, 70)
    assert parts.test_files.files[0].path == other
    alone = divided(events, other, of_shares(0, 0.1))
    assert (len(alone.train), alone.validation) == (600, None)
    run = train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "run", test=other)
    assert len(load_run(tmp_path / "run").parts().test) == 70
    moved = other.rename(tmp_path / "moved.h5")
    with pytest.raises(FileNotFoundError, match=r"other\.h5"):
        run.parts()
    assert len(run.parts(test=moved).test) == 70


def test_a_stream_gives_the_plan_each_event_once(events):
    files = EgammaFiles(events)
    source = StreamedEvents(files, np.arange(0, 600, 2), seed=1, window=100)
    plan = Plan(TrainConfig(batch_size=32), source)
    seen = []
    for epoch in range(2):
        inputs, images = plan.inputs(epoch), []
        source.begin(epoch, 0, 32)
        for step in range(plan.steps):
            source.advance()
            batch, _ = source.batch(inputs.rows[step], None)
            images.append(batch)
        seen.append(torch.cat(images).flatten(1))
        assert len(seen[-1].unique(dim=0)) == 9 * 32
    assert not torch.equal(seen[0], seen[1])
    source.begin(1, 4, 32)
    source.advance()
    assert torch.equal(source.batch(inputs.rows[0], None)[0], images[4])


def test_a_stream_is_validated_in_the_order_of_the_files(events):
    files, rows = EgammaFiles(events), np.arange(3, 103)
    source = StreamedEvents(files, rows)
    source.begin(None, 0, 32)
    found = []
    for part in torch.arange(100).split(32):
        source.advance()
        found.append(source.batch(part[1::2], None))
    whole = files.load(rows)
    places = torch.cat([part[1::2] for part in torch.arange(100).split(32)])
    assert torch.equal(torch.cat([images for images, _ in found]), whole.images[places])
    assert torch.equal(torch.cat([labels for _, labels in found]), whole.labels[places])


def test_the_storage_is_settled_when_a_run_begins(events, tmp_path, monkeypatch):
    monkeypatch.setattr("latentcore.systems.egamma.training.available", lambda: 10**5)
    train("egamma", events, config=with_train(with_events(storage="auto"), epochs=1), run_dir=tmp_path / "small")
    monkeypatch.setattr("latentcore.systems.egamma.training.available", lambda: 10**10)
    train("egamma", events, config=with_train(with_events(storage="auto"), epochs=1), run_dir=tmp_path / "large")
    kept = [
        json.loads((tmp_path / name / "config.json").read_text())["events"]["storage"] for name in ("small", "large")
    ]
    assert kept == ["streamed", "resident"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EgammaConfig(ResNetConfig(classes=3)), r"ResNetConfig\.classes: expected 2"),
        (lambda: of_shares(0.5, 0.6), r"EventsConfig\.test: expected less than 0\.49"),
        (lambda: EventsConfig(scaling="log"), r"EventsConfig\.scaling: expected one of"),
        (
            lambda: with_train(augmentation=Augmentation(mirror="x", center=(15.0, 3.0))),
            r"Augmentation\.center: expected a point inside of 8 x 8 cells",
        ),
    ],
)
def test_wrong_configurations_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_errors_leave_no_run_behind(events, tmp_path):
    large = write_events(tmp_path / "large.h5", 60, side=9)
    with pytest.raises(ValueError, match=r"ResNetConfig\.image_shape: expected \(2, 9, 9\), as in the files"):
        train("egamma", large, config=CONFIG, run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match=r"test: expected events of shape \(2, 8, 8\)"):
        train("egamma", events, config=CONFIG, run_dir=tmp_path / "run", test=large)
    with pytest.raises(ValueError, match=r"EventsConfig\.test: expected more than 0"):
        train("egamma", events, config=with_events(test=0.0), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_configuration_travels_through_json():
    config = EgammaConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict())))
    assert config == CONFIG
    assert isinstance(config.train, TrainConfig)


def test_another_crop_is_mirrored_about_its_own_centre():
    chosen = PRESETS["egamma"].for_shape((3, 40, 40))
    assert chosen.resnet.image_shape == (3, 40, 40)
    assert chosen.train.augmentation.center is None
    assert chosen.train.augmentation.mirror == "xy"
    assert PRESETS["egamma"].for_shape((1, 32, 32)).train.augmentation.center == (15.0, 15.0)


def test_files_that_are_the_same_or_have_one_class_are_errors(events, tmp_path):
    copied = tmp_path / "copied.h5"
    copied.write_bytes(events.read_bytes())
    for paths, test in (([events, copied], None), (events, copied)):
        with pytest.raises(ValueError, match=r"copied\.h5: expected events that no other file has, got those of"):
            divided(paths, test, of_shares(0.1, 0.1))
    with h5py.File(copied, "r+") as file:
        file["y"][...] = 1
    with pytest.raises(ValueError, match=r"events for test in .*: expected both electrons and photons, got 0 photons"):
        divided(events, copied, of_shares(0.1, 0.1))


def test_a_mistake_in_the_test_events_is_found_before_the_training(events, tmp_path):
    other = write_events(tmp_path / "other.h5", 70, seed=1)
    with h5py.File(other, "r+") as file:
        file["X"][5, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"other\.h5: X: expected finite numbers, got NaN or infinity in row 5"):
        train("egamma", events, config=CONFIG, run_dir=tmp_path / "run", test=other)
    with pytest.raises(ValueError, match=r"TrainConfig\.batch_size: expected at least 2 events"):
        train("egamma", events, config=with_train(batch_size=8, accumulate=8), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_the_training_events_leaves_no_run_behind(events, tmp_path):
    rows = divided(events, None, CONFIG).train
    with h5py.File(events, "r+") as file:
        file["X"][rows[5], 0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"events\.h5: X: expected finite numbers"):
        train("egamma", events, config=CONFIG, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_data_set_has_a_name(events, monkeypatch):
    known = registry.DataSet("calorimeter", "events of somebody", lambda path: [events], kind="events")
    catalogue = SimpleNamespace(names={"calorimeter": ""}, find=lambda name: known, available=lambda: ([known], {}))
    monkeypatch.setattr(registry, "catalogue", catalogue)
    found = EVENTS.given("calorimeter", CONFIG)
    assert (len(found.train.train), len(found.test.test)) == (420, 120)
    assert found.source == {"files": [str(events)], "test": None}
    assert EVENTS.shape(found) == (2, 8, 8)


def test_events_are_in_files_which_have_their_labels(events):
    with pytest.raises(TypeError, match="data: expected the path of an HDF5 file of events, or several, got ndarray"):
        train("egamma", np.zeros((3, 2, 8, 8)), config=CONFIG)
    for name in ("labels", "validation"):
        with pytest.raises(ValueError, match=f"{name}: expected none beside files of events"):
            train("egamma", events, config=CONFIG, **{name: np.zeros(600)})


def test_a_run_goes_on_where_its_files_lie_now(events, tmp_path):
    other = write_events(tmp_path / "other.h5", 70, seed=1)
    train("egamma", [events], config=with_train(epochs=1), run_dir=tmp_path / "run", test=other)
    learned, judged = events.rename(tmp_path / "learned.h5"), other.rename(tmp_path / "judged.h5")
    with pytest.raises(FileNotFoundError, match=r"events\.h5"):
        resume(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match=r"other\.h5"):
        resume(tmp_path / "run", learned)
    assert len(resume(tmp_path / "run", learned, test=judged).parts([learned], judged).test) == 70


def test_a_configuration_of_before_says_the_same():
    plain = {"system": "egamma", **CONFIG.to_dict()}
    plain["events"]["validation"] = plain["train"].pop("validation")
    assert SYSTEM.read(plain, "config.json") == CONFIG
    with pytest.raises(ValueError, match=r"config\.json\.events\.validation: expected a field among"):
        SYSTEM.read({"format": 2, **plain}, "config.json")


def test_a_run_is_judged_by_its_own_test_events(events, tmp_path):
    one, two = (write_events(tmp_path / f"{seed}.h5", 70, seed=seed) for seed in (1, 2))
    judged = train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "judged", test=one)
    with pytest.raises(ValueError, match="paths or test: expected the data with which"):
        judged.parts(test=two)
    own = train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "own")
    with pytest.raises(ValueError, match=r"test: expected none: .* is judged by events of its own files"):
        own.parts(test=one)


def test_it_does_not_go_on_with_other_events(events, tmp_path):
    train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "run")
    other = write_events(tmp_path / "other.h5", seed=5)
    with pytest.raises(ValueError, match="paths or test: expected the data with which"):
        resume(tmp_path / "run", other)
