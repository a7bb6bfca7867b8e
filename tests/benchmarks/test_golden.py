"""What two sets of golden runs say of each other."""

import csv
import json

import numpy as np
import pytest
import torch
from benchmarks.golden.contents import contents
from benchmarks.golden.differences import differences


@pytest.fixture
def run(tmp_path):
    """A folder with one of everything."""
    (tmp_path / "checkpoints").mkdir()
    weights = {"weight": torch.arange(6.0).view(2, 3), "_extra_state": {"prior": "normal"}}
    history = [{"loss": 0.5, "seconds": 3.0, "images_per_second": 10.0}]
    torch.save({"model": weights, "history": history, "config": {"seed": 0}}, tmp_path / "checkpoints/last.pth")
    np.savez(tmp_path / "latents.npz", z=np.zeros((2, 2), np.float32))
    (tmp_path / "metrics.json").write_text(json.dumps({"mse": 0.25, "seconds": 1.5}))
    (tmp_path / "held_out.json").write_text(json.dumps({"data": "/somewhere", "rows": [1, 2]}))
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["epoch", "loss", "seconds"], [0, 0.5, 3.0]])
    (tmp_path / "losses.png").write_bytes(b"picture")
    return tmp_path


def test_everything_but_times_and_places_is_there(run):
    found = contents(run)
    assert found.keys() == {
        "checkpoints/last.pth: model.weight",
        "checkpoints/last.pth: history.0.loss",
        "latents.npz: z",
        "metrics.json: mse",
        "held_out.json: rows",
        "metrics.csv",
        "losses.png",
    }
    assert found["metrics.json: mse"] == "0.25"
    assert found["checkpoints/last.pth: model.weight"].startswith("float32[2, 3] ")


def test_a_number_is_seen_wherever_it_changes(run):
    before = contents(run)
    with (run / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["epoch", "loss", "seconds"], [0, 0.5, 9.0]])
    assert contents(run) == before
    with (run / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["epoch", "loss", "seconds"], [0, 0.6, 9.0]])
    np.savez(run / "latents.npz", z=np.full((2, 2), 1e-30, np.float32))
    (run / "losses.png").write_bytes(b"another")
    now = contents(run)
    assert {name for name in before if before[name] != now[name]} == {"metrics.csv", "latents.npz: z", "losses.png"}


def test_differences_are_named():
    before = {"a": {"x": "1", "y": "2", "gone": "5"}, "b": {"x": "1"}, "same": {"x": "1"}, "moved": {"old": "7"}}
    now = {"a": {"x": "1", "y": "3", "came": "6"}, "same": {"x": "1"}, "moved": {"new": "7"}, "c": {"x": "1"}}
    assert differences(before, now) == [
        "a: 3 differences, 1 entries are the same",
        "  came: not there before, 6 now",
        "  gone: 5 before, not there now",
        "  y: 2 before, 3 now",
        "b: no such run now",
        "c: no such run before",
        "moved: 1 differences, 0 entries are the same",
        "  old: the same bits are now new",
    ]
    assert differences(before, before) == []
