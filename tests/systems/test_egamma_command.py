"""Files of electrons and photons from the command line."""

import csv
import json
import shutil

import h5py
import numpy as np
import pytest
import torch

from latentcore import load_run
from latentcore._files import read_json, write_json
from latentcore.cli import main
from latentcore.models import ResNet15, ResNetConfig


def call(*arguments):
    return main([str(argument) for argument in arguments])


def test_simulated_events_are_inspected(tmp_path, capsys):
    file = tmp_path / "events.h5"
    assert call("data", "simulate", "--events", 600, "--seed", 3, "--out", file) == 0
    assert "600 events" in capsys.readouterr().out
    with h5py.File(file) as content:
        assert content["X"].shape == (600, 32, 32, 2)
    assert call("data", "inspect", file) == 0
    printed = capsys.readouterr().out
    for word in ("300 photons + 300 electrons", "(600, 32, 32, 2) float32", "lzf", "energy", "time", "zeros"):
        assert word in printed
    assert (tmp_path / "events.png").stat().st_size > 10_000
    with h5py.File(tmp_path / "many.h5", "w") as many:
        many["X"], many["y"] = np.random.default_rng(0).random((6, 8, 8, 5)), np.arange(6) % 2
    assert call("data", "inspect", tmp_path / "many.h5") == 0
    assert "channel 5" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_file(tmp_path):
    files = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        assert call("data", "simulate", "--events", 50, "--seed", seed, "--out", file) == 0
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_what_is_no_such_file_is_one_line(tmp_path, capsys, content):
    (tmp_path / "events.h5").write_bytes(content)
    assert call("data", "inspect", tmp_path / "events.h5") == 1
    error = capsys.readouterr().err
    assert "events.h5" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "events.png").exists()
    assert call("data", "simulate", "--events", 10, "--fluctuation", -1, "--out", tmp_path / "x.h5") == 1
    assert "fluctuation" in capsys.readouterr().err
    assert not (tmp_path / "x.h5").exists()


@pytest.fixture
def trained(once, tmp_path):
    """A file of simulated events, and a run that has learned a little from it; the test's own."""
    folder = shutil.copytree(once("egamma-command", learn), tmp_path / "trained")
    config = read_json(folder / "run" / "config.json")
    config["source"]["files"] = [str(folder / "events.h5")]
    write_json(folder / "run" / "config.json", config)
    return folder


def learn(folder):
    """Simulate and train."""
    assert call("data", "simulate", "--events", 800, "--out", folder / "events.h5") == 0
    small = ("--preset", "small", "--width", 0.0625, "--batch-size", 32, "--epochs", 2)
    assert call("train", "egamma", folder / "events.h5", *small, "--run-dir", folder / "run") == 0


def test_a_run_has_figures_and_pictures(trained, capsys):
    run = trained / "run"
    figures = json.loads((run / "metrics.json").read_text())
    assert {
        "test_auc",
        "oracle_auc",
        "auc_gap_oracle",
        "rejection_70",
        "calibration_error",
        "seconds",
    } <= figures.keys()
    assert figures["test_events"] == 80
    names = {"roc.png", "scores.png", "calibration.png", "occupancy.png", "occupancy.csv", "losses.png"}
    assert {path.name for path in (run / "pictures").iterdir()} == names
    before = figures["test_auc"]
    for words in ((run,), (run, trained / "events.h5")):
        assert call("evaluate", *words) == 0
        assert "auc_gap_oracle" in capsys.readouterr().out
        assert json.loads((run / "metrics.json").read_text())["test_auc"] == before


@pytest.mark.parametrize("name", ["predicted.h5", "predicted.csv"])
def test_predictions_of_a_file_without_labels(trained, tmp_path, capsys, name):
    with h5py.File(trained / "events.h5") as events, h5py.File(tmp_path / "bare.h5", "w") as bare:
        bare["X"] = events["X"][:60]
        expected = load_run(trained / "run").scores(events["X"][:60]).numpy()
    assert call("predict", trained / "run", tmp_path / "bare.h5", "--out", tmp_path / name) == 0
    assert "60 events" in capsys.readouterr().out
    if name.endswith("h5"):
        with h5py.File(tmp_path / name) as file:
            found = {key: file[key][:] for key in file}
    else:
        with (tmp_path / name).open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["event"]) for row in rows] == list(range(60))
        found = {key: np.array([float(row[key]) for row in rows]) for key in ("score", "probability", "predicted")}
    np.testing.assert_allclose(found["score"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["probability"], 1 / (1 + np.exp(-expected)), rtol=1e-4)
    assert np.array_equal(found["predicted"], expected > 0)


@pytest.mark.long
def test_a_run_goes_on(trained, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(trained / "run", folder)
    assert call("train", "egamma", "--resume", folder) == 0  # it was complete
    assert "test_auc" in capsys.readouterr().out
    moved = (trained / "events.h5").rename(trained / "elsewhere.h5")
    try:
        assert call("train", "egamma", "--resume", folder) == 1
        assert "events.h5" in capsys.readouterr().err
        assert call("train", "egamma", moved, "--resume", folder) == 0
    finally:
        moved.rename(trained / "events.h5")


@pytest.mark.parametrize("none", [("--validation", 0), ("--set", "train.validation=0")])
def test_all_events_may_be_for_training_and_crops_may_have_other_sizes(tmp_path, none):
    random = np.random.default_rng(0)
    for name, count in (("train.h5", 60), ("test.h5", 40)):
        with h5py.File(tmp_path / name, "w") as file:
            file["X"], file["y"] = random.random((count, 9, 8, 1)), np.arange(count) % 2
    small = ("--preset", "small", "--width", 0.0625, "--batch-size", 20, "--epochs", 1, *none)
    words = (tmp_path / "train.h5", "--test", tmp_path / "test.h5", *small, "--run-dir", tmp_path / "run")
    assert call("train", "egamma", *words) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["resnet"]["image_shape"] == [1, 9, 8]
    assert config["train"]["early_stop"] == 0  # the preset's has nothing to look at
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test_events"] == 40


@pytest.mark.long
def test_the_roles_of_events_are_written_down(trained, tmp_path, capsys):
    record = read_json(trained / "run/held_out.json")
    assert {role: part["events"] for role, part in record.items()} == {"train": 640, "validation": 80, "test": 80}
    before = (trained / "run/metrics.json").read_bytes()
    assert call("evaluate", trained / "run", "--out", tmp_path / "out") == 0
    assert read_json(tmp_path / "out/metrics.json")["test_events"] == 80
    assert (tmp_path / "out/pictures/losses.png").exists()
    assert (trained / "run/metrics.json").read_bytes() == before
    write_json(trained / "run/held_out.json", record | {"test": {**record["test"], "sha256": "another draw"}})
    for words in (("evaluate",), ("train", "egamma", "--resume")):
        assert call(*words, trained / "run") == 1
        error = capsys.readouterr().err
        assert "held_out.json: expected the events that are there" in error
        assert "got others for ['test']" in error
    (trained / "run/held_out.json").unlink()  # a run of before
    assert call("evaluate", trained / "run") == 0


@pytest.mark.long
def test_a_configuration_is_taken_over(trained, tmp_path):
    words = ("--config", trained / "run" / "config.json", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "egamma", trained / "events.h5", *words) == 0
    configs = [json.loads((run / "config.json").read_text()) for run in (trained / "run", tmp_path / "run")]
    assert configs[0]["resnet"] == configs[1]["resnet"]
    assert configs[1]["train"]["epochs"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "egamma"), "DATA: expected at least one HDF5 file of events"),
        (
            ("train", "egamma", "EVENTS", "--preset", "small", "--config", "RUN"),
            "--config: expected no --preset beside it",
        ),
        (("train", "egamma", "--resume", "RUN", "--epochs", 3), "--resume: expected no --epochs"),
        (("train", "egamma", "EVENTS", "--validation", 0.9, "--test-share", 0.9), "EventsConfig.test"),
        (("train", "egamma", "EVENTS", "--run-dir", "RUN"), "run_dir: expected a folder without a run"),
        (("train", "egamma", "missing.h5"), "missing.h5"),
        (
            ("train", "egamma", "EVENTS", "--config", "CONFIG", "--validation", 0),
            "(TrainConfig.validation, --validation SHARE), got 6",
        ),
        (("predict", "RUN", "EVENTS", "--out", "out.txt"), "ends in .h5, .hdf5 or .csv"),
        (("predict", "RUN", "missing.h5", "--out", "out.csv"), "missing.h5"),
        (("predict", "RUN", "EVENTS", "--out", "EVENTS"), "path: expected another file than those that are read"),
        (("evaluate", "RUN", "--test", "EVENTS"), "test: expected none"),
    ],
)
def test_mistakes_are_one_line(trained, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)
    places = {"EVENTS": trained / "events.h5", "RUN": trained / "run", "CONFIG": trained / "run/config.json"}
    assert call(*(places.get(word, word) for word in words)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.glob("out*"))


def test_predictions_are_for_runs_of_this_system(tmp_path, capsys):
    write_json(tmp_path / "config.json", {"system": "classifier", "resnet": {"width": 0.0625}})
    (tmp_path / "checkpoints").mkdir()
    model = ResNet15(ResNetConfig(width=0.0625))
    torch.save(model.state_dict(), tmp_path / "checkpoints" / "model.pth")
    assert call("predict", tmp_path, tmp_path / "x.h5", "--out", tmp_path / "x.csv") == 1
    assert "expected a run of the system 'egamma'" in capsys.readouterr().err


def test_events_that_have_changed_places_are_refused(trained, capsys):
    """Labels and the first event are as they were, but the test's have been learned from."""
    with h5py.File(trained / "events.h5", "r+") as file:
        images, labels = file["X"][:], file["y"][:]
        for label in (0, 1):
            rows = np.flatnonzero(labels == label)[1:]
            images[rows] = images[rows[::-1]]
        file["X"][:] = images
    assert call("evaluate", trained / "run") == 1
    assert "got others for ['validation', 'test']" in capsys.readouterr().err
