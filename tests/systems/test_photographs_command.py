"""VAEs of photographs from the command line."""

import json
import os
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from latentcore._files import write_json
from latentcore.cli import main
from latentcore.data.registry import DataSet, catalogue
from latentcore.models import SharpConfig
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.systems.photographs.files import divide_files
from latentcore.training import TrainConfig


def call(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of 40 photographs and two files that are none; a small configuration; a run."""
    place, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(40):
        path = place / "own" / f"{number % 3}" / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        coarse.resize((40, 30), Image.Resampling.BILINEAR).save(path)
    (place / "own/text.jpg").write_text("no photograph")
    (place / "own/loop").symlink_to(place / "own", target_is_directory=True)
    config = PhotographsConfig(
        vae=SharpConfig(image_shape=(3, 16, 16), latent=4, channels=(4, 8), refinements=1),
        train=TrainConfig(epochs=2, batch_size=16, beta=0.01, augmentation=TrainConfig().augmentation),
    )
    write_json(place / "small.json", config.to_dict())
    words = ("--config", place / "small.json", "--run-dir", place / "run", "--cache-dir", place / "cache")
    assert call("train", "photographs", place / "own", *words) == 0
    return place


def test_a_run_has_figures_pictures_and_a_list_of_what_was_left_out(place):
    figures = json.loads((place / "run/metrics.json").read_text())
    assert {"mse", "pca_mse", "mse_ratio_pca", "psnr", "ssim", "ms_ssim", "loss", "kl"} <= figures.keys()
    assert figures["test_images"] == 4
    pictures = {path.name for path in (place / "run/pictures").iterdir()}
    assert {"reconstructions.png", "anomalies.png", "anomalies.csv", "epochs", "latents.png"} <= pictures
    assert len(list((place / "run/pictures/epochs").iterdir())) == 2
    lines = (place / "run/left_out.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in sorted(lines)] == [str(place / "own" / n) for n in ("loop", "text.jpg")]
    assert len(list((place / "cache").iterdir())) == 4  # an array and a list, to learn from and to judge by


def test_evaluate_finds_the_same_again(place, capsys):
    before = json.loads((place / "run/metrics.json").read_text())
    assert call("evaluate", place / "run") == 0
    assert "mse_ratio_pca" in capsys.readouterr().out
    assert json.loads((place / "run/metrics.json").read_text()) == before


def test_other_photographs_are_scored(place, tmp_path, capsys):
    shutil.copytree(place / "run", tmp_path / "run")
    assert call("evaluate", tmp_path / "run", "--test", place / "own/0") == 0
    assert "14 photographs to judge by" in capsys.readouterr().out
    assert (tmp_path / "run/metrics.json").read_bytes() == (place / "run/metrics.json").read_bytes()
    (others,) = (tmp_path / "run/evaluations").iterdir()
    assert others.name.startswith("0-")
    assert json.loads((others / "metrics.json").read_text())["test_images"] == 14
    table = (others / "pictures/anomalies.csv").read_text().splitlines()
    assert len(table) == 15
    assert str(place / "own/0") in table[1]


@pytest.fixture
def moved(place, tmp_path):
    """The photographs and the run, the test's own; the run does not know where the photographs lie now."""
    shutil.copytree(place / "own", tmp_path / "own", ignore=shutil.ignore_patterns("loop"))
    shutil.copytree(place / "run", tmp_path / "run")
    return tmp_path


@pytest.mark.long
def test_what_is_held_out_stays_when_photographs_come_and_go(place, moved, capsys):
    figures = (moved / "run/metrics.json").read_bytes()
    names = {row.split(",")[0] for row in (place / "run/pictures/anomalies.csv").read_text().splitlines()}
    shutil.copy(moved / "own/1/01.jpg", moved / "own/0/-first.jpg")  # moves every tenth file of a listing
    for words in (("evaluate", moved / "run"), ("train", "photographs", "--resume", moved / "run")):
        assert call(*words[:2], moved / "own", *words[2:]) == 0
        assert "4 photographs to judge by" in capsys.readouterr().out
        rows = (moved / "run/pictures/anomalies.csv").read_text().splitlines()
        assert {row.split(",")[0].replace(str(moved), str(place)) for row in rows} == names
    (moved / "own/0/00.jpg").unlink()  # learned from: evaluation needs the others alone
    assert call("evaluate", moved / "run", moved / "own") == 0
    assert call("train", "photographs", moved / "own", "--resume", moved / "run") == 1
    assert "own/0/00.jpg: expected one of the 36 photographs that" in capsys.readouterr().err
    found, before = (json.loads(text) for text in ((moved / "run/metrics.json").read_bytes(), figures))
    assert {name: found[name] for name in ("mse", "psnr", "test_kl")} == {
        name: before[name] for name in ("mse", "psnr", "test_kl")
    }


def test_held_out_photographs_that_changed_are_one_message(moved, capsys):
    number, name, _ = json.loads((moved / "run/held_out.json").read_text())["held_out"][1]
    path = moved / "own" / name
    for change, words in ((path.unlink, "missing"), (lambda: shutil.copy(moved / "own/0/00.jpg", path), "contents")):
        change()
        assert call("evaluate", moved / "run", moved / "own") == 1
        error = capsys.readouterr().err
        assert f"{path}: expected one of the 4 photographs" in error
        assert words in error
        assert len(error.splitlines()) == 1
    record = json.loads((moved / "run/held_out.json").read_text())
    for damage in ({"held_out": [[number, "../" + name, ""]]}, {"held_out": [[7, name, ""]]}, {"held_out": [1]}):
        write_json(moved / "run/held_out.json", record | damage)
        assert call("evaluate", moved / "run", moved / "own") == 1
        assert "held_out.json" in capsys.readouterr().err


@pytest.mark.long
def test_a_run_of_before_is_judged_where_the_number_of_photographs_is_the_same(moved, capsys):
    (moved / "run/held_out.json").unlink()
    assert call("evaluate", moved / "run", moved / "own") == 0
    for number in range(2):
        shutil.copy(moved / "own/1/01.jpg", moved / f"own/0/-{number}.jpg")
    assert call("evaluate", moved / "run", moved / "own") == 1
    assert "expected the 36 photographs that" in capsys.readouterr().err
    assert call("evaluate", moved / "run", "--test", moved / "own/0") == 0


def test_figures_go_where_they_are_told_to(moved, capsys):
    before = {path: path.read_bytes() for path in (moved / "run").rglob("*") if path.is_file()}
    words = ("evaluate", moved / "run", moved / "own", "--out")
    assert call(*words, moved / "out") == 0
    assert {path: path.read_bytes() for path in (moved / "run").rglob("*") if path.is_file()} == before
    assert (moved / "out/pictures/anomalies.png").exists()
    assert json.loads((moved / "out/metrics.json").read_text())["test_images"] == 4
    shutil.copytree(moved / "run", moved / "other")
    assert call(*words, moved / "other") == 1
    assert "out (--out DIR): expected a folder without a run in it" in capsys.readouterr().err
    (moved / "run/evaluations").write_text("")  # in the way of a folder
    assert call("evaluate", moved / "run", "--test", moved / "own/0") == 1
    error = capsys.readouterr().err
    assert "cannot be written to: Not a directory; name another folder as out (--out DIR)" in error
    (moved / "file").write_text("")
    assert call(*words, moved / "file") == 1
    assert f"{moved / 'file'}: cannot be written to: File exists" in capsys.readouterr().err


def test_a_run_goes_on_without_being_told_its_folders(place, capsys):
    assert call("train", "photographs", "--resume", place / "run") == 0
    assert "mse_ratio_pca" in capsys.readouterr().out


def test_a_way_between_two_photographs(place, tmp_path):
    ends = (place / "own/0/00.jpg", place / "own/1/01.jpg")
    assert call("interpolate", place / "run", *ends, "--fit", "--out", tmp_path / "way.png") == 0
    assert (tmp_path / "way.png").stat().st_size > 100


def test_names_that_are_no_text_are_escaped(place, tmp_path, capsys):
    names = (b"no text \xff.jpg", b"two\nlines $\\q$ \x1b[31m.jpg")
    (tmp_path / "in").mkdir()
    for number, path in enumerate(sorted((place / "own/0").iterdir()) * 2):
        shutil.copy(path, tmp_path / f"in/{number:02}.jpg")
    for name in names:
        shutil.copy(place / "own/0/00.jpg", os.fsencode(tmp_path / "in") + b"/" + name)
        with open(os.fsencode(tmp_path / "in") + b"/bad " + name, "wb") as file:  # noqa: PTH123  # a path of bytes
            file.write(b"no photograph")
    words = ("--config", place / "small.json", "--epochs", 1, "--latent", 1, "--run-dir", tmp_path / "run")
    assert call("train", "photographs", tmp_path / "in", *words) == 0
    assert call("evaluate", tmp_path / "run", "--test", tmp_path / "in") == 0
    said = capsys.readouterr().out + (tmp_path / "run/left_out.txt").read_text()
    said += next((tmp_path / "run/evaluations").glob("*/pictures/anomalies.csv")).read_text()
    assert "no text \\udcff.jpg" in said
    assert "two\\nlines $\\q$ \\x1b[31m.jpg" in said
    assert "\x1b" not in said
    assert len((tmp_path / "run/left_out.txt").read_text().splitlines()) == 2
    ends = [os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name) for name in names]
    assert call("interpolate", tmp_path / "run", *ends, "--fit", "--out", tmp_path / "way.png") == 0


@pytest.mark.long
def test_photographs_to_judge_by_are_not_learned_from(place, tmp_path, capsys):
    words = ("--config", place / "small.json", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "photographs", place / "own", "--test", place / "own/0", *words) == 0
    said = capsys.readouterr().out
    assert "26 photographs to learn from" in said
    assert "14 photographs to judge by" in said
    # where they lie now is all that is needed
    assert call("evaluate", tmp_path / "run") == 0


@pytest.mark.parametrize("source", ["folders", {"folders": 3}, {"folders": ["a"], "test": [1]}])
def test_a_damaged_source_is_one_message(place, tmp_path, capsys, source):
    shutil.copytree(place / "run", tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    write_json(tmp_path / "run/config.json", config | {"source": source})
    (tmp_path / "run/held_out.json").unlink()  # a run of before
    for words in (("train", "photographs", "--resume"), ("evaluate",)):
        assert call(*words, tmp_path / "run") == 1
        assert "config.json: source: expected lists of folders" in capsys.readouterr().err


def test_photographs_have_the_same_names_in_all_tables(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    words = ("--config", "small.json", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "photographs", "own", *words) == 0
    table = tmp_path / "run/pictures/anomalies.csv"
    before, left_out = table.read_text(), (tmp_path / "run/left_out.txt").read_text()
    assert str(place.resolve() / "own") in before
    assert call("train", "photographs", "--resume", tmp_path / "run") == 0
    assert table.read_text() == before
    assert (tmp_path / "run/left_out.txt").read_text() == left_out


def test_a_data_set_of_photographs_leads_to_its_folders(place, tmp_path, monkeypatch):
    folders = [place / "own/0", place / "own/1"]
    snapshots = DataSet("snapshots", "two folders", lambda path: folders, kind="photographs")
    monkeypatch.setitem(sys.modules, "snapshots", SimpleNamespace(SNAPSHOTS=snapshots))
    monkeypatch.setitem(catalogue.names, "snapshots", "snapshots:SNAPSHOTS")
    monkeypatch.setitem(catalogue._found, "snapshots", snapshots)
    words = ("--config", place / "small.json", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "photographs", "snapshots", *words) == 0
    record = json.loads((tmp_path / "run/held_out.json").read_text())
    assert record["folders"] == [str(folder.resolve()) for folder in folders]
    assert call("evaluate", tmp_path / "run") == 0  # where the folders are, the run knows


def test_images_of_a_file_are_learned_from_too(place, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 16, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "colours.npz", images=images)
    words = ("--set", "vae.channels=4,8", "--latent", 2, "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "photographs", tmp_path / "colours.npz", "--channels-last", *words) == 0
    assert json.loads((tmp_path / "run/config.json").read_text())["vae"]["image_shape"] == [3, 16, 32]
    table = (tmp_path / "run/pictures/anomalies.csv").read_text().splitlines()
    assert sorted(int(row.split(",")[0]) for row in table[1:]) == list(range(6))
    before = (tmp_path / "run/metrics.json").read_bytes()
    assert call("evaluate", tmp_path / "run") == 0
    assert (tmp_path / "run/metrics.json").read_bytes() == before
    # photographs are read as the run has images
    assert call("evaluate", tmp_path / "run", "--test", place / "own/0") == 0
    (others,) = (tmp_path / "run/evaluations").iterdir()
    assert json.loads((others / "metrics.json").read_text())["test_images"] == 14


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "photographs"), "DATA: expected at least one folder of photographs, got none"),
        (("train", "photographs", "nowhere"), "nowhere"),
        (
            ("train", "photographs", "few"),
            "few: expected at least 20 photographs, of which a tenth is kept back, got 1",
        ),
        (
            ("train", "photographs", "OWN", "--preset", "patches", "--config", "CONFIG"),
            "--config: expected no --preset",
        ),
        (
            ("train", "photographs", "OWN", "--set", "vae.image_shape=3,20,20"),
            "image_shape: expected height and width that are multiples",
        ),
        (("train", "photographs", "OWN", "--cache", "0.01"), "cache: expected at least 0.504 megabytes for 41 images"),
        (("train", "photographs", "OWN", "--perceptual", "vgg16"), "PerceptualConfig.kind: expected torchvision"),
        (("train", "photographs", "--resume", "RUN", "--latent", 3), "--resume: expected no --latent"),
        (("train", "photographs", "OWN/0", "OWN/1", "--resume", "RUN"), "DATA: expected 1, where the run's"),
        (
            ("train", "photographs", "OWN", "--cache", "nan"),
            "for 41 images, or a folder for them as cache_dir, got nan",
        ),
        (("train", "photographs", "OWN/0", "--test", "OWN"), "--test: expected other photographs than those to learn"),
        (("evaluate", "RUN", "--test", "few"), "expected at least 2 photographs to judge by, got 1"),
        (("evaluate", "RUN", "colours.npy"), "colours.npy: expected the photographs with which"),
        (("evaluate", "RUN", "--test", "small.npy"), "small: expected images of (3, 16, 16), got (3, 8, 8)"),
        (("train", "photographs", "OWN", "--channels-last"), "channels_last: expected a file of images beside it"),
        (("train", "photographs", "digits"), "(64, 128, 128), got (1, 28, 28)"),
    ],
)
def test_mistakes_are_one_line(place, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    (tmp_path / "few").mkdir()
    Image.new("RGB", (20, 20)).save(tmp_path / "few/one.png")
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)
    for name, side in (("colours", 16), ("small", 8)):
        np.save(tmp_path / f"{name}.npy", np.zeros((30, 3, side, side), np.uint8))
    places = {"OWN": "own", "RUN": "run", "CONFIG": "small.json"}
    filled = [str(word) for word in words]
    for name, path in places.items():
        filled = [word.replace(name, str(place / path)) for word in filled]
    assert call(*filled) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_every_tenth_file_is_for_test(tmp_path):
    files = [tmp_path / f"{number}" for number in range(25)]
    train, test = divide_files(files)
    assert [path.name for path in test] == ["5", "15"]
    assert sorted(train + test) == sorted(files)
    with pytest.raises(ValueError, match="expected at least 20 photographs, of which a tenth is kept back, got 19"):
        divide_files(files[:19])
