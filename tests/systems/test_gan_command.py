"""GANs from the command line."""

import json
import shutil
from functools import partial

import numpy as np
import pytest

from latentcore import _config, train
from latentcore._files import write_json
from latentcore.cli import main
from latentcore.data import mnist
from latentcore.models import GANConfig, MLPConfig, ResNetConfig, VAEConfig
from latentcore.systems.autoencoder.config import AutoencodingConfig
from latentcore.systems.classifier.config import ClassifierConfig
from latentcore.systems.gan import evaluation
from latentcore.systems.gan.config import GANTraining
from latentcore.training import TrainConfig


def call(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture
def runs(once, few_digits, tmp_path):
    """A GAN, a VAE and a classifier, trained for a moment; the test's own."""
    made = once("gan-command", lambda folder: train_three(folder, few_digits))
    return shutil.copytree(made, tmp_path / "made")


def train_three(folder, data):
    """Train small networks."""
    digits, short = mnist.load(data, "train"), TrainConfig(epochs=1)
    judge = ClassifierConfig(resnet=ResNetConfig(width=1 / 64), train=short)
    train("classifier", digits, config=judge, run_dir=folder / "judge")
    vae = AutoencodingConfig(vae=VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(16,))), train=short)
    train("autoencoder", digits, config=vae, run_dir=folder / "vae")
    gan = GANTraining(gan=GANConfig(latent=8, channels=(4, 8), hidden=16))
    write_json(folder / "gan.json", _config.to_plain(gan))
    words = ("--config", folder / "gan.json", "--epochs", 2, "--run-dir", folder / "gan")
    assert call("train", "gan", "--data", data, *words) == 0


def figures_in(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_has_pictures(runs):
    names = {"losses.png", "samples.png", "beside.png", "nearest.png", "walk.png", "walk.gif", "epochs.gif", "epochs"}
    assert {path.name for path in (runs / "gan" / "pictures").iterdir()} == names
    assert "frechet" not in figures_in(runs / "gan")  # nobody judged


def test_samples_are_judged_beside_those_of_a_vae(runs, few_digits, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "figures", partial(evaluation.figures, samples=200))
    words = ("--classifier", runs / "judge", "--beside", runs / "vae", "--data", few_digits)
    assert call("evaluate", runs / "gan", *words) == 0
    found = figures_in(runs / "gan")
    assert {"frechet_real", "coverage_error", "frechet_beside", "share_9", "parameters"} <= found.keys()
    assert found["frechet_ratio"] == pytest.approx(found["frechet"] / found["frechet_beside"])
    assert "frechet_ratio" in capsys.readouterr().out


def test_a_run_goes_on(runs, few_digits, capsys):
    assert call("train", "gan", "--data", few_digits, "--resume", runs / "gan") == 0
    assert "discriminator" in capsys.readouterr().out


def test_images_of_any_size(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 8, 12), dtype=np.uint8)
    np.savez(tmp_path / "colour.npz", images=images)
    words = ("--epochs", 1, "--run-dir", tmp_path / "run")
    assert call("train", "gan", "--data", tmp_path / "colour.npz", *words) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["gan"]["image_shape"] == [3, 8, 12]


def test_pictures_beside_other_images_go_elsewhere(runs, few_digits, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCORE_DATA", str(few_digits))
    before = figures_in(runs / "gan")
    np.save(tmp_path / "others.npy", mnist.embedded("test").images[:20, 0].numpy())
    assert call("evaluate", runs / "gan", "--test", tmp_path / "others.npy") == 0
    assert figures_in(runs / "gan") == before
    (others,) = (runs / "gan/evaluations").iterdir()
    assert {"beside.png", "epochs.gif"} <= {path.name for path in (others / "pictures").iterdir()}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "gan", "--preset", "digits", "--config", "RUNS/gan.json"), "--config: expected no --preset"),
        (("train", "gan", "--resume", "RUNS/gan", "--epochs", 3), "--resume: expected no --epochs"),
        (("train", "gan", "--classifier", "RUNS/vae"), "classifier: expected a run of the system 'classifier'"),
        (("train", "gan", "--beside", "RUNS/judge"), "expected a run of a GAN, or of a VAE without classes"),
        (("train", "gan", "--classifier", "RUNS/judge", "--data", "even.npy"), "expected images of (1, 12, 12)"),
        (("train", "gan", "--data", "ODD"), "GANConfig.image_shape: expected height and width that are multiples of 4"),
        (
            ("train", "gan", "--data", "many.npy", "--test", "one.npy", "--classifier", "RUNS/judge"),
            "--test: expected at least 2 images to compare samples with, got 1",
        ),
        (("evaluate", "RUNS/gan", "--test", "ODD"), "expected images of (1, 28, 28), got (1, 10, 10)"),
        (("evaluate", "RUNS/gan", "--data", "many.npy"), "got a file, which has no test images of its own"),
    ],
)
def test_mistakes_are_one_line(runs, few_digits, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTCORE_DATA", str(few_digits))
    for name, shape in (("odd", (40, 10, 10)), ("even", (40, 12, 12)), ("many", (40, 28, 28)), ("one", (1, 28, 28))):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape, dtype=np.uint8))
    filled = [str(word).replace("RUNS", str(runs)).replace("ODD", "odd.npy") for word in words]
    assert call(*filled) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
