"""Autoencoders from the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from latentcore.cli import main
from latentcore.data import ImageSet, mnist, save_images


def call(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mnist_folder):
    """A VAE of the plane, one that is told classes, and an autoencoder, trained for a moment; small networks."""
    folder = tmp_path_factory.mktemp("trained")
    for preset in ("vae-2d", "cvae", "ae-20"):
        assert call("config", preset, "--out", folder / f"{preset}.json") == 0
        config = json.loads((folder / f"{preset}.json").read_text())
        network = config["vae"] or config["autoencoder"]
        network["hidden"] = network["decoder_hidden"] = [16]
        (folder / f"{preset}.json").write_text(json.dumps(config))
        words = ("--config", folder / f"{preset}.json", "--epochs", 2, "--run-dir", folder / preset)
        assert call("train", "autoencoder", "--data", mnist_folder, *words) == 0
    return folder


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


def test_evaluate_finds_the_same_again(trained, mnist_folder, capsys):
    before = json.loads((trained / "vae-2d" / "metrics.json").read_text())
    assert call("evaluate", "autoencoder", trained / "vae-2d", "--data", mnist_folder) == 0
    assert "iw_nll" in capsys.readouterr().out
    assert json.loads((trained / "vae-2d" / "metrics.json").read_text()) == before


def test_runs_side_by_side(trained, mnist_folder, tmp_path, capsys):
    runs = [trained / name for name in ("vae-2d", "cvae", "ae-20")]
    assert call("compare", *runs, "--data", mnist_folder, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    for word in ("vae-2d", "cvae", "ae-20", "ssim", "active_units"):
        assert word in printed
    names = {"losses.png", "reconstructions.png", "interpolations.png", "latents.png", "samples.png", "figures.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert len((tmp_path / "out" / "figures.csv").read_text().splitlines()) == 4


def test_files_of_images_of_any_size(tmp_path, capsys):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "colour.npz", images=random.integers(0, 256, (60, 3, 8, 12), dtype=np.uint8))
    words = ("--preset", "ae-2d", "--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "autoencoder", "--data", tmp_path / "colour.npz", *words) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["autoencoder"]["image_shape"] == [3, 8, 12]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["test_images"] == 6
    assert "arithmetic.png" not in capsys.readouterr().out  # nothing says what the images are


def test_latents_by_tsne(trained, mnist_folder):
    assert call("evaluate", trained / "ae-20", "--data", mnist_folder, "--tsne") == 0
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


def test_a_run_goes_on(trained, mnist_folder, capsys):
    assert call("train", "autoencoder", "--data", mnist_folder, "--resume", trained / "cvae") == 0
    assert "iw_nll" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "autoencoder", "--preset", "cvae", "--config", "RUN/config.json"), "--config: expected no --preset"),
        (("train", "autoencoder", "--resume", "RUN", "--epochs", 3), "--resume: expected no --epochs"),
        (("train", "autoencoder", "--preset", "cvae", "--data", "BARE"), "labels"),
        (("compare", "RUN", "RUN"), "RUN: expected folders of different names"),
        (("compare", "RUN", "--data", "BARE"), "image"),
        (("interpolate", "RUN", "PICTURE", "PICTURE", "--out", "way.jpg"), "--out: expected a file named .png or .gif"),
        (
            ("interpolate", "RUN", "PICTURE", "PICTURE", "--steps", 1, "--out", "way.png"),
            "--steps: expected at least 2",
        ),
        (("interpolate", "RUN", "PICTURE", "PICTURE", "--out", "way.png"), "expected 28 x 28 pixels, got 9 x 9"),
        (("interpolate", "RUN", "PICTURE", "PICTURE", "--fit", "--label", 3, "--out", "way.png"), "labels"),
        (("evaluate", "RUN", "--files", "x.h5"), "--files: expected it beside"),
    ],
)
def test_mistakes_are_one_line(trained, mnist_folder, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTCORE_DATA", str(mnist_folder))
    digits = mnist.embedded("test")
    save_images(tmp_path / "bare.npz", ImageSet(digits.images[:40, :, :20, :20].contiguous()))
    Image.new("L", (9, 9)).save(tmp_path / "small.png")
    places = {"RUN": trained / "vae-2d", "BARE": tmp_path / "bare.npz", "PICTURE": tmp_path / "small.png"}
    filled = [str(word) for word in words]
    for name, place in places.items():
        filled = [word.replace(name, str(place)) for word in filled]
    assert call(*filled) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
