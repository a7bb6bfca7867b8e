"""Autoencoders from the command line."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from latentcore import load_run
from latentcore.cli import main
from latentcore.data import ImageSet, mnist, save_images
from latentcore.evaluate.pictures import drawable, ways


def call(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def trained(once, few_digits, tmp_path):
    """A VAE of the plane, one that is told classes, and an autoencoder, trained for a moment; the test's own."""
    made = once("autoencoder-command", lambda folder: train_three(folder, few_digits))
    return shutil.copytree(made, tmp_path / "trained")


def train_three(folder, data):
    """Train small networks."""
    for preset in ("vae-2d", "cvae", "ae-20"):
        assert call("config", "autoencoder", preset, "--out", folder / f"{preset}.json") == 0
        config = json.loads((folder / f"{preset}.json").read_text())
        network = config["vae"] or config["autoencoder"]
        network["network"] |= {"hidden": [16], "decoder_hidden": [16]}
        (folder / f"{preset}.json").write_text(json.dumps(config))
        words = ("--config", folder / f"{preset}.json", "--epochs", 2, "--run-dir", folder / preset)
        assert call("train", "autoencoder", "--data", data, *words) == 0


PICTURES = {"losses.png", "reconstructions.png", "latents.png", "interpolation.png", "traversals.png", "traversals.gif"}


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vae-2d", {"samples.png", "manifold.png", "arithmetic.png"}),
        ("cvae", {"samples.png", "latents3d.png"}),
        ("ae-20", {"latents3d.png", "arithmetic.png"}),
    ],
)
def test_a_run_has_figures_and_pictures(trained, name, more):
    figures = json.loads((trained / name / "metrics.json").read_text())
    assert {"mse", "psnr", "ssim", "test_images", "parameters", "seconds"} <= figures.keys()
    assert ("iw_nll_binarised" in figures) == (name != "ae-20")
    assert {path.name for path in (trained / name / "pictures").iterdir()} == PICTURES | more


def test_evaluate_finds_the_same_again(trained, few_digits, capsys):
    before = json.loads((trained / "vae-2d" / "metrics.json").read_text())
    assert call("evaluate", trained / "vae-2d", "--data", few_digits) == 0
    assert "iw_nll" in capsys.readouterr().out
    assert json.loads((trained / "vae-2d" / "metrics.json").read_text()) == before


@pytest.mark.long
def test_runs_side_by_side(trained, few_digits, tmp_path, capsys):
    runs = [trained / name for name in ("vae-2d", "cvae", "ae-20")]
    assert call("compare", *runs, "--data", few_digits, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    for word in ("vae-2d", "cvae", "ae-20", "ssim", "active_units"):
        assert word in printed
    names = {"losses.png", "reconstructions.png", "interpolations.png", "latents.png", "samples.png", "figures.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert len((tmp_path / "out" / "figures.csv").read_text().splitlines()) == 4


@pytest.mark.long
def test_a_file_of_test_images_needs_no_others(trained, tmp_path, monkeypatch):
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)
    file, run = tmp_path / "test.npz", tmp_path / r"$\q$"  # a name that would be a formula, and a wrong one
    np.savez(file, images=np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8))
    shutil.copytree(trained / "ae-20", run)
    assert call("evaluate", run, "--test", file) == 0
    assert json.loads((run / "metrics.json").read_text())["test_images"] == 400
    (others,) = (run / "evaluations").iterdir()
    assert json.loads((others / "metrics.json").read_text())["test_images"] == 12
    assert call("compare", run, "--test", file, "--out", tmp_path / "out") == 0
    assert (tmp_path / "out" / "figures.csv").exists()


def test_files_of_images_of_any_size(tmp_path, capsys):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "colour.npz", images=random.integers(0, 256, (60, 3, 8, 12), dtype=np.uint8))
    words = ("--preset", "ae-2d", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "autoencoder", "--data", tmp_path / "colour.npz", *words) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["autoencoder"]["image_shape"] == [3, 8, 12]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test_images"] == 6
    assert "arithmetic.png" not in capsys.readouterr().out  # nothing says what the images are


@pytest.fixture
def of_a_file(once, tmp_path):
    """A run whose images are those of a file, the test's own; the images."""
    shutil.copytree(once("autoencoder-of-a-file", train_on_a_file), tmp_path, dirs_exist_ok=True)
    return np.load(tmp_path / "own.npy")


def train_on_a_file(folder):
    """Train a small network, which does not know where its images are after this."""
    np.save(folder / "own.npy", np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8))
    network = {"image_shape": (1, 8, 8), "latent": 2, "network": {"hidden": [8], "decoder_hidden": [8]}}
    (folder / "small.json").write_text(json.dumps({"autoencoder": network}))
    words = ("--config", folder / "small.json", "--epochs", 1, "--run-dir", folder / "run")
    assert call("train", "autoencoder", "--data", folder / "own.npy", *words) == 0


@pytest.mark.long
def test_rows_that_are_held_out_stay_when_images_are_added(of_a_file, tmp_path, capsys):
    file, before = tmp_path / "own.npy", json.loads((tmp_path / "run/metrics.json").read_text())
    rows = json.loads((tmp_path / "run/held_out.json").read_text())["rows"]
    assert (len(rows), before["test_images"]) == (3, 3)
    np.save(file, np.concatenate([of_a_file, of_a_file[:5]]))
    for words in (("evaluate", tmp_path / "run"), ("train", "autoencoder", "--resume", tmp_path / "run")):
        assert call(*words, "--data", file) == 0
        assert "5 images behind the 30 of the run are left out" in capsys.readouterr().out
        assert json.loads((tmp_path / "run/metrics.json").read_text())["mse"] == before["mse"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images[1:], "the 30 uint8 images of shape [1, 8, 8] with which RUN began, got 29 uint8 images"),
        (lambda images: images[::-1], "got as many that are others, or in another order; name other images with"),
        (lambda images: np.repeat(images, 2, 1), "got 30 uint8 images of shape [1, 16, 8]"),
    ],
)
@pytest.mark.parametrize("record", [True, False])
def test_images_that_changed_are_refused(of_a_file, tmp_path, capsys, change, message, record):
    file, run = tmp_path / "own.npy", tmp_path / "run"
    np.save(file, change(of_a_file))
    if not record:
        (run / "held_out.json").unlink()  # a run of before knows what it has learned
        message = "expected the images with which"
    for words in (("evaluate", run), ("compare", run)):
        assert call(*words, "--data", file, "--out", tmp_path / "out") == 1
        error = capsys.readouterr().err
        assert message.replace("RUN", str(run)) in error
        assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    np.save(file, of_a_file)
    assert call("evaluate", run, "--data", file) == 0


@pytest.mark.long
def test_a_file_of_test_images_is_remembered(of_a_file, tmp_path, capsys):
    np.save(tmp_path / "test.npy", of_a_file[:4])
    words = ("train", "autoencoder", "--config", tmp_path / "small.json", "--epochs", 1, "--data", tmp_path / "own.npy")
    assert call(*words, "--test", tmp_path / "test.npy", "--run-dir", tmp_path / "told") == 0
    before = json.loads((tmp_path / "told/metrics.json").read_text())
    for more in ((), ("--data", tmp_path / "own.npy"), ("--test", tmp_path / "test.npy")):  # it knows where it began
        assert call("evaluate", tmp_path / "told", *more) == 0
    assert json.loads((tmp_path / "told/metrics.json").read_text()) == before
    assert not (tmp_path / "told/evaluations").exists()
    np.save(tmp_path / "test.npy", of_a_file[1:5])
    assert call("evaluate", tmp_path / "told", "--data", tmp_path / "own.npy") == 1
    assert "test.npy: expected the 4 uint8 images" in capsys.readouterr().err
    assert call("train", "autoencoder", "--resume", tmp_path / "told") == 1


def test_an_early_stop_without_validation_is_refused_before_the_training(of_a_file, tmp_path, capsys):
    config = json.loads((tmp_path / "small.json").read_text()) | {"train": {"early_stop": 2}}
    (tmp_path / "small.json").write_text(json.dumps(config))
    words = ("--data", tmp_path / "own.npy", "--config", tmp_path / "small.json", "--run-dir", tmp_path / "early")
    assert call("train", "autoencoder", *words) == 1
    assert "TrainConfig.early_stop: expected 0 without validation data" in capsys.readouterr().err
    assert not (tmp_path / "early").exists()


def test_weights_are_chosen_by_a_share_of_what_is_learned(of_a_file, tmp_path):
    words = ("--config", tmp_path / "small.json", "--epochs", 3, "--run-dir", tmp_path / "shared")
    data = ("--data", tmp_path / "own.npy", "--validation", 0.2, "--early-stop", 1)
    assert call("train", "autoencoder", *data, *words) == 0
    header = (tmp_path / "shared/metrics.csv").read_text().splitlines()[0]
    assert "validation_loss" in header
    assert json.loads((tmp_path / "shared/metrics.json").read_text())["test_images"] == 3


@pytest.mark.parametrize("content", ["epoch,loss\n0,much\n", "epoch\n0\n", "epoch,loss\n0\n"])
def test_damaged_curves_are_one_line(of_a_file, tmp_path, capsys, content):
    (tmp_path / "run/metrics.csv").write_text(content)
    assert call("evaluate", tmp_path / "run", "--data", tmp_path / "own.npy") == 1
    error = capsys.readouterr().err
    assert "metrics.csv: expected a number for each epoch under loss" in error
    assert len(error.splitlines()) == 1


def test_a_folder_of_cifar(tmp_path):
    random = np.random.default_rng(0)
    for name in ("test_batch", *(f"data_batch_{i}" for i in range(1, 6))):
        records = np.column_stack([np.arange(12) % 10, random.integers(0, 256, (12, 3072))]).astype(np.uint8)
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    network = {
        "image_shape": [3, 32, 32],
        "classes": 10,
        "network": {"kind": "conv", "channels": [4, 8], "hidden": [8]},
    }
    (tmp_path / "told.json").write_text(json.dumps({"vae": network}))
    words = ("--config", tmp_path / "told.json", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "autoencoder", "--data", tmp_path, *words) == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test_images"] == 12
    assert load_run(tmp_path / "run").sample(2, torch.tensor([0, 9])).shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("shape", "latent", "missing"),
    [
        ((1, 4, 6), 1, {"latents.png"}),  # no plane, no great circle, no window of the structural similarity
        ((2, 8, 8), 2, set()),  # neither grey nor coloured
        ((4, 8, 8), 5, {"latents.png", "latents3d.png"}),  # of a single test image
    ],
)
def test_small_and_odd_data(tmp_path, shape, latent, missing):
    random = np.random.default_rng(0)
    count = 6 if latent == 5 else 40
    labels = {} if latent == 5 else {"labels": np.arange(count) % 4}
    np.savez(tmp_path / "odd.npz", images=random.integers(0, 256, (count, *shape), dtype=np.uint8), **labels)
    network = {"image_shape": shape, "latent": latent, "network": {"hidden": [8], "decoder_hidden": [8]}}
    (tmp_path / "odd.json").write_text(json.dumps({"vae": network}))
    words = ("--config", tmp_path / "odd.json", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "autoencoder", "--data", tmp_path / "odd.npz", *words) == 0
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert ("ssim" in figures) == (min(shape[1:]) >= 7)
    names = {path.name for path in (tmp_path / "run" / "pictures").iterdir()}
    assert names >= (PICTURES | {"samples.png"}) - missing
    assert not names & missing
    assert call("compare", tmp_path / "run", "--data", tmp_path / "odd.npz", "--out", tmp_path / "out") == 0
    if shape[0] == 1:
        Image.fromarray(random.integers(0, 256, shape[1:], dtype=np.uint8)).save(tmp_path / "a.png")
        ends = (tmp_path / "a.png", tmp_path / "a.png")
        assert call("interpolate", tmp_path / "run", *ends, "--out", tmp_path / "way.png") == 0
    if latent == 1:  # in whose latent space there are no great circles
        there, back = torch.tensor([-1.0]), torch.tensor([1.0])
        assert ways(load_run(tmp_path / "run"), there, back, 3).keys() == {"linear"}
    if latent == 2:  # four test images
        assert call("evaluate", tmp_path / "run", "--data", tmp_path / "odd.npz", "--tsne") == 0
        assert (tmp_path / "run" / "pictures" / "tsne.png").exists()
    if latent == 5:
        assert call("evaluate", tmp_path / "run", "--data", tmp_path / "odd.npz", "--tsne") == 1


@pytest.mark.parametrize(
    ("labels", "message"), [(None, "one of 10 classes for each image, got none"), (12, "whole numbers in [0, 10)")]
)
def test_labels_of_test_images_are_missed_before_the_training(tmp_path, capsys, labels, message):
    pixels = np.zeros((20, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "train.npz", images=pixels, labels=np.arange(20) % 10)
    np.savez(tmp_path / "test.npz", images=pixels, **({} if labels is None else {"labels": np.arange(20) % labels}))
    words = ("--preset", "cvae", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "autoencoder", "--data", tmp_path / "train.npz", "--test", tmp_path / "test.npz", *words) == 1
    assert f"labels of the test images: expected {message}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_without_rows_is_named(trained, few_digits, tmp_path, capsys):
    shutil.copytree(trained / "ae-20", tmp_path / "cut")
    (tmp_path / "cut" / "metrics.csv").write_text("epoch,loss\n")
    assert call("compare", tmp_path / "cut", "--data", few_digits, "--out", tmp_path / "out") == 1
    assert "metrics.csv: expected a row for each epoch, got none" in capsys.readouterr().err


def test_pictures_of_other_channels_are_their_mean():
    images = torch.tensor([[0, 51], [102, 255]], dtype=torch.uint8).view(1, 2, 1, 2)
    torch.testing.assert_close(drawable(images), torch.tensor([[[[0.2, 0.6]]]]))
    assert drawable(images.expand(3, 2, 1, 2)[:, :1]).dtype == torch.uint8


@pytest.mark.long
def test_latents_by_tsne(trained, few_digits):
    assert call("evaluate", trained / "ae-20", "--data", few_digits, "--tsne") == 0
    with Image.open(trained / "ae-20" / "pictures" / "tsne.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 10  # a colour for each digit


@pytest.mark.parametrize(("name", "more"), [("ae-20", ()), ("vae-2d", ("--steps", 2)), ("cvae", ("--label", 3))])
def test_the_way_from_an_image_to_another(trained, tmp_path, capsys, name, more):
    digits = mnist.embedded("test").images
    for word, digit in (("from", digits[0, 0]), ("to", digits[1, 0])):
        Image.fromarray(digit.numpy()).save(tmp_path / f"{word}.png")
    words = ("interpolate", trained / name, tmp_path / "from.png", tmp_path / "to.png", *more)
    for out in ("way.png", "way.gif"):
        assert call(*words, "--out", tmp_path / out) == 0
        assert "from.png to to.png" in capsys.readouterr().out
    with Image.open(tmp_path / "way.gif") as film:
        assert film.n_frames == (2 if more == ("--steps", 2) else 20)
    inverted = tmp_path / "inverted.gif"
    assert call(*words, "--invert", "--out", inverted) == 0
    assert inverted.read_bytes() != (tmp_path / "way.gif").read_bytes()


def test_a_run_goes_on(trained, few_digits, capsys):
    assert call("train", "autoencoder", "--data", few_digits, "--resume", trained / "cvae") == 0
    assert "iw_nll" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "autoencoder", "--preset", "cvae", "--config", "RUN/config.json"), "--config: expected no --preset"),
        (("train", "autoencoder", "--resume", "RUN", "--epochs", 3), "--resume: expected no --epochs"),
        (("train", "autoencoder", "--preset", "cvae", "--data", "BARE"), "labels"),
        (("compare", "RUN", "RUN"), "RUN: expected folders of different names"),
        (("compare", "RUN", "--test", "BARE"), "runs: expected at least one, all of the test images' size (1, 20, 20)"),
        (("compare", "CVAE", "--test", "BARE28"), "cvae: labels: expected one of 10 classes"),
        (("evaluate", "RUN", "--data", "BARE28"), "got a file, which has no test images of its own; name other images"),
        (("compare", "RUN", "--data", "BARE28"), "got a file, which has no test images of its own; name other images"),
        (("train", "autoencoder", "--data", "FEW"), "expected at least 6 images, or a test file, got 5"),
        (("train", "autoencoder", "--data", "PICKLED"), "the pickled Python one, never read"),
        (("interpolate", "RUN", "PICTURE", "PICTURE", "--out", "way.jpg"), "--out: expected a file named .png or .gif"),
        (
            ("interpolate", "RUN", "PICTURE", "PICTURE", "--steps", 1, "--out", "way.png"),
            "--steps: expected at least 2",
        ),
        (("interpolate", "RUN", "PICTURE", "PICTURE", "--out", "way.png"), "expected 28 x 28 pixels, got 9 x 9"),
        (("interpolate", "RUN", "PICTURE", "PICTURE", "--fit", "--label", 3, "--out", "way.png"), "labels"),
    ],
)
def test_mistakes_are_one_line(trained, few_digits, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTCORE_DATA", str(few_digits))
    digits = mnist.embedded("test")
    save_images(tmp_path / "bare.npz", ImageSet(digits.images[:40, :, :20, :20].contiguous()))
    save_images(tmp_path / "bare28.npz", ImageSet(digits.images[:40]))
    save_images(tmp_path / "few.npz", ImageSet(digits.images[:5]))
    Image.new("L", (9, 9)).save(tmp_path / "small.png")
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "data_batch_1").write_bytes(b"\x80")
    places = {"RUN": trained / "vae-2d", "CVAE": trained / "cvae", "PICTURE": tmp_path / "small.png"}
    places |= {"BARE28": tmp_path / "bare28.npz", "BARE": tmp_path / "bare.npz"}
    places |= {"FEW": tmp_path / "few.npz", "PICKLED": tmp_path / "pickled"}
    filled = [str(word) for word in words]
    for name, place in places.items():
        filled = [word.replace(name, str(place)) for word in filled]
    assert call(*filled) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
