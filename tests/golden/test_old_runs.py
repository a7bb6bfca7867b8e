"""Runs that earlier versions have written open, are evaluated, go on and are shown, whatever has changed since."""

import csv
import json
import lzma
import re
import shutil
from pathlib import Path

import h5py
import pytest
import torch
from small_data import SIDE, digit, write_data

from latentcore import load_run
from latentcore.cli import main

RUNS = Path(__file__).parent / "runs_0_1_0"
# a VAE with attention that is told classes: its configuration, and the words beside its weights, had the fields of all
# networks
OF_FORMAT_2 = Path(__file__).parent / "run_of_format_2"
# what each is evaluated with, and goes on with: its data lie elsewhere now
DIGITS = (("--data", "digits"), ("--data", "digits"))
DATA = {
    "autoencoder": DIGITS,
    "classifier": DIGITS,
    "egamma": (("events.h5",), ("events.h5",)),
    "few-label": DIGITS,
    "gan": DIGITS,
    "photographs": (("snapshots",), ("snapshots",)),
    "rotation": DIGITS,
    "attention": DIGITS,
}
SYSTEMS = {name: name for name in DATA} | {"attention": "autoencoder"}
# the same weights on another processor; the last epoch learned there
ROUNDED, LEARNED = {"rel": 1e-3, "abs": 1e-3}, {"rel": 2e-2, "abs": 5e-3}
TIMES = ("seconds", "images_per_second", "events_per_second")


def call(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def place(once, tmp_path, monkeypatch):
    """The folder in which we are: with the runs, and what they have learned from."""
    shutil.copytree(once("small-data", write_data), tmp_path, dirs_exist_ok=True)
    for name in DATA:
        shutil.copytree((OF_FORMAT_2 if name == "attention" else RUNS) / name, tmp_path / name)
    for packed in tmp_path.rglob("last.pth.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def figures_of(folder):
    figures = json.loads((folder / "metrics.json").read_text())
    return {name: value for name, value in figures.items() if name not in TIMES}


def last_epoch_of(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: float(value) for name, value in rows[-1].items() if name not in TIMES}


def test_they_open(place):
    images = torch.stack([torch.from_numpy(digit(number)) for number in range(64, 70)])
    for name in ("autoencoder", "attention", "few-label", "rotation"):
        run = load_run(name)
        labels = [torch.tensor([1, 2, 0, 1, 2, 0])] if name in ("autoencoder", "attention") else []
        z = run.encode(images, *labels)
        assert run.decode(z, *labels).shape == (6, 1, SIDE, SIDE)
    assert run.transform(z, 30.0).shape == z.shape
    assert load_run("gan").sample(4).shape == (4, 1, SIDE, SIDE)
    assert load_run("few-label").classify(images).shape == (6,)
    assert load_run("classifier").predict_proba(images).shape == (6, 3)
    with h5py.File("events.h5") as events:
        assert load_run("egamma").scores(events["X"][:5]).shape == (5,)
    photographs = load_run("photographs")
    assert photographs.decode(photographs.encode(torch.zeros(2, 1, 16, 16))).shape == (2, 1, 16, 16)


@pytest.mark.parametrize("name", DATA)
def test_figures_are_found_again(place, name):
    before = figures_of(place / name)
    assert call("evaluate", name, *DATA[name][0], "--out", "evaluated") == 0
    found = figures_of(place / "evaluated")
    assert found == pytest.approx({key: before[key] for key in found}, **ROUNDED)
    assert found or any((place / "evaluated/pictures").iterdir())  # of a GAN there are no figures without a judge


@pytest.mark.parametrize("name", DATA)
def test_they_go_on(place, name):
    before, epoch = figures_of(place / name), last_epoch_of(place / name)
    for file in ("metrics.json", "metrics.csv"):
        (place / name / file).unlink()
    assert call("train", SYSTEMS[name], *DATA[name][1], "--resume", name) == 0
    assert last_epoch_of(place / name) == pytest.approx(epoch, **LEARNED)
    assert figures_of(place / name).keys() == before.keys()


def test_another_run_learns_what_an_old_one_did(place):
    """From its configuration, where a command takes one."""
    for name in ("autoencoder", "attention", "classifier", "few-label", "gan", "rotation"):
        words = ("--config", f"{name}/config.json", "--epochs", 1, "--run-dir", f"new-{name}")
        assert call("train", SYSTEMS[name], *DATA[name][1], *words) == 0
        assert figures_of(place / f"new-{name}").keys() == figures_of(place / name).keys()


def test_a_report_shows_them(place):
    assert call("report", *DATA, "--out", "report.html") == 0
    page = re.sub("<script.*?</script>", "", (place / "report.html").read_text(), flags=re.DOTALL)
    for name in DATA:
        assert name in page
    for words in ("cannot be used", "not opened", "cannot be shown"):
        assert words not in page


def test_their_texts_name_no_place_and_their_files_are_small():
    files = [path for runs in (RUNS, OF_FORMAT_2) for path in runs.rglob("*") if path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 450_000
    for path in files:
        if path.suffix != ".json":
            continue
        words = path.read_text().split('"')
        assert not [word for word in words if word.startswith("/") and not word.startswith("/data")], path
