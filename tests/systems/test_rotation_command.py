"""Transformations in latent space from the command line, on the digits that come with the package."""

import csv
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import latentcore
from latentcore._files import read_json, write_json
from latentcore.cli import main
from latentcore.data import mnist
from latentcore.models import MLPConfig, ResNetConfig
from latentcore.systems.classifier.config import PRESETS as CLASSIFIERS
from latentcore.systems.rotation.config import PRESETS

PICTURES = {"losses.png", "angles.png", "psnr.png", "orbit.png", "turning.gif", "qualities.csv"}


def call(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def made(once, few_digits):
    """A configuration that is trained in a moment, and what it trains; nobody changes them."""

    def make(folder):
        plain = PRESETS["rotation"].to_dict()
        plain["vae"] |= {"latent": 8, "network": {"hidden": [32], "decoder_hidden": [32]}}
        plain["train"] |= {"epochs": 2, "device": "cpu"}
        write_json(folder / "config.json", plain)
        words = ("--config", folder / "config.json", "--digits", "1,2", "--run-dir", folder / "run")
        assert call("train", "rotation", "--data", few_digits, *words) == 0

    return once("rotation-command", make)


@pytest.fixture
def config(made):
    return made / "config.json"


@pytest.fixture
def run(made, tmp_path):
    """A trained run, the test's own."""
    return shutil.copytree(made / "run", tmp_path / "trained")


def test_train_leaves_figures_pictures_and_a_table(run):
    assert {path.name for path in (run / "pictures").iterdir()} == PICTURES
    figures = read_json(run / "metrics.json")
    assert {"psnr_gap_worst", "psnr_mean", "ssim_worst", "psnr_gap_unseen", "psnr_composed_worst"} <= set(figures)
    assert figures["test_images"] == 96
    with (run / "pictures" / "qualities.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["what"] == "seen"]
    assert [float(row["angle"]) for row in rows] == [30.0 * step for step in range(12)]
    assert max(float(row["gap"]) for row in rows) == pytest.approx(figures["psnr_gap_worst"])
    about = read_json(run / "config.json")
    assert about["digits"] == [1, 2]
    assert about["source"]["image_shape"] == [1, 28, 28]


@pytest.mark.long
def test_figures_of_other_digits_do_not_replace_the_runs_own(run, mnist_folder):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert call("evaluate", run, "--data", mnist_folder) == 0
    (others,) = (run / "evaluations").iterdir()
    assert {path.name for path in (others / "pictures").iterdir()} == PICTURES
    assert read_json(others / "metrics.json")["test_images"] != read_json(run / "metrics.json")["test_images"]
    assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.long
def test_evaluate_with_and_without_a_classifier(tmp_path, run, few_digits, monkeypatch, capsys):
    narrow = dataclasses.replace(CLASSIFIERS["rotated"], resnet=ResNetConfig(width=1 / 32))  # to be asked quickly
    monkeypatch.setitem(CLASSIFIERS, "rotated", narrow)
    judge = tmp_path / "judge"
    assert call("train", "classifier", "--data", few_digits, "--epochs", 1, "--run-dir", judge) == 0
    assert {"test_accuracy", "test_accuracy_rotated"} <= set(read_json(judge / "metrics.json"))
    assert call("evaluate", judge, "--data", few_digits) == 0
    assert call("evaluate", run, "--data", few_digits) == 0
    assert "label_kept" not in capsys.readouterr().out
    assert call("evaluate", run, few_digits, "--classifier", judge) == 0
    found = capsys.readouterr().out
    assert "label_kept_worst" in found
    assert "classifier_accuracy" in found
    assert call("evaluate", run, "--data", few_digits, "--classifier", run) == 1
    assert "expected a run of the system 'classifier'" in capsys.readouterr().err


def test_transform_writes_what_the_run_draws(tmp_path, run, capsys):
    digit = mnist.embedded("test").images[0]
    Image.fromarray(digit[0].numpy()).save(tmp_path / "in.png")
    Image.fromarray(255 - digit[0].numpy()).save(tmp_path / "ink.png")
    for name, more in (("in", []), ("ink", ["--invert"])):
        out = tmp_path / f"{name}-out.png"
        assert call("transform", run, tmp_path / f"{name}.png", "--angle", 75, "--out", out, *more) == 0
        drawn = latentcore.load_run(run)
        expected = drawn.decode(drawn.transform(drawn.encode(digit.unsqueeze(0)), 75.0))[0, 0]
        with Image.open(out) as picture:
            assert picture.size == (28, 28)
            pixels = torch.from_numpy(np.array(picture))
        assert torch.allclose(pixels / 255, expected, atol=0.51 / 255)
    assert "angle 75" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--angle", "nan"], "angle: expected finite numbers"),
        (["--scale", "2"], "scale: expected 1: this run has learned no scales"),
        (["--translate", "-2", "1"], "translate: expected (0, 0): this run has learned no translations"),
        (["--out", "out.xyz"], "expected a name that ends in .png"),
    ],
)
def test_transform_says_what_is_wrong(tmp_path, run, capsys, options, message):
    Image.new("L", (28, 28)).save(tmp_path / "in.png")
    assert call("transform", run, tmp_path / "in.png", "--out", tmp_path / "out.png", *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


def test_an_image_of_another_size_is_an_error_or_fitted(tmp_path, run, capsys):
    Image.new("L", (300, 50)).save(tmp_path / "wide.png")
    out = tmp_path / "out.png"
    assert call("transform", run, tmp_path / "wide.png", "--out", out) == 1
    assert "expected 28 x 28 pixels, got 300 x 50" in capsys.readouterr().err
    assert call("transform", run, tmp_path / "wide.png", "--fit", "--out", out) == 0
    with Image.open(out) as picture:
        assert picture.size == (28, 28)


@pytest.mark.parametrize("source", [None, [], {"image_shape": 28}, {"image_shape": [1, 28, "28"]}])
def test_a_damaged_source_is_one_line(tmp_path, run, capsys, source):
    Image.new("L", (28, 28)).save(tmp_path / "in.png")
    write_json(run / "config.json", {**read_json(run / "config.json"), "source": source})
    assert call("transform", run, tmp_path / "in.png", "--out", tmp_path / "out.png") == 1
    error = capsys.readouterr().err
    assert "config.json: source" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("digits", "message"), [([1, 2], ""), ("12", "digits: expected a list")])
def test_digits_of_a_run_that_0_1_0_has_written(run, capsys, few_digits, digits, message):
    about = read_json(run / "config.json")
    old = {name: value for name, value in about.items() if name not in ("format", "digits")}
    write_json(run / "config.json", {**old, "source": {"digits": digits, "image_shape": [1, 28, 28]}})
    if not message:
        assert latentcore.load_run(run).config.digits == (1, 2)
        return
    assert call("evaluate", run, "--data", few_digits) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_single_latent_has_figures_and_no_orbit(tmp_path, config, few_digits):
    options = ["--config", config, "--latent", 1, "--epochs", 1, "--digits", "1", "--run-dir", tmp_path / "run"]
    assert call("train", "rotation", "--data", few_digits, *options) == 0
    assert "psnr_mean" in read_json(tmp_path / "run" / "metrics.json")
    assert not (tmp_path / "run" / "pictures" / "orbit.png").exists()


def test_a_runs_configuration_brings_its_digits(tmp_path, run, few_digits):
    again = tmp_path / "again"
    assert call("train", "rotation", "--data", few_digits, "--config", run / "config.json", "--run-dir", again) == 0
    for name in ("data", "source", "digits", "vae", "pairs"):
        assert read_json(again / "config.json")[name] == read_json(run / "config.json")[name]
    assert (again / "checkpoints" / "model.pth").read_bytes() == (run / "checkpoints" / "model.pth").read_bytes()


def test_transform_refuses_what_is_no_image_or_no_such_run(tmp_path, run, capsys):
    (tmp_path / "text.png").write_text("hello")
    assert call("transform", run, tmp_path / "text.png", "--out", tmp_path / "out.png") == 1
    assert "text.png" in capsys.readouterr().err
    latentcore.training.create_run("gan", {}, tmp_path / "other")
    assert call("transform", tmp_path / "other", tmp_path / "text.png", "--out", tmp_path / "out.png") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_resume_has_no_options_beside_it(tmp_path, run, few_digits, capsys):
    assert call("train", "rotation", "--data", few_digits, "--resume", run, "--latent", 4) == 1
    assert "--resume: expected no --latent beside it" in capsys.readouterr().err
    before = (run / "checkpoints" / "model.pth").read_bytes()
    assert call("train", "rotation", "--data", few_digits, "--resume", run) == 0
    assert (run / "checkpoints" / "model.pth").read_bytes() == before


@pytest.mark.long
def test_a_sweep_is_one_table_that_goes_on(tmp_path, few_digits, monkeypatch, capsys):
    study = PRESETS["study"]
    small = dataclasses.replace(study.vae, network=MLPConfig(hidden=(32,), decoder_hidden=(32,)))
    brief = dataclasses.replace(study, vae=small, vae_train=dataclasses.replace(study.vae_train, epochs=2))
    monkeypatch.setitem(PRESETS, "study", brief)
    options = ["--data", few_digits, "--digits", "1", "--preset", "study", "--epochs", 1, "--out", tmp_path / "sweep"]
    variants = ["--latents", "2,4", "--models", "mlp,equivariant", "--losses", "latent=1"]
    assert call("sweep", "rotation", *options, *variants) == 0
    with (tmp_path / "sweep" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {
        f"{model}-{latent}-relu-latent=1" for latent in (2, 4) for model in ("mlp", "equivariant")
    }
    assert all(float(row["psnr_mean"]) > 0 and int(row["parameters"]) > 0 for row in rows)
    assert {(row["model"], row["latents"], row["weight_latent"]) for row in rows} == {
        (model, latent, "1.0") for latent in ("2", "4") for model in ("mlp", "equivariant")
    }
    # the two models of one size share a VAE
    names = ("mlp-2-relu-latent=1", "equivariant-2-relu-latent=1")
    first, second = (tmp_path / "sweep" / name / "vae" / "checkpoints" / "model.pth" for name in names)
    assert first.read_bytes() == second.read_bytes()
    done = (tmp_path / "sweep" / rows[0]["run"] / "checkpoints" / "last.pth").stat().st_mtime_ns
    more = ["--latents", "2", "--models", "equivariant,step,transformer", "--losses", "latent=1"]
    assert call("sweep", "rotation", *options, *more) == 0
    assert "6 runs" in capsys.readouterr().out  # those of the first sweep stay in the table
    assert (tmp_path / "sweep" / rows[0]["run"] / "checkpoints" / "last.pth").stat().st_mtime_ns == done
    for other in (["--seed", 3], ["--digits", "7"]):
        assert call("sweep", "rotation", *options, *variants, *other) == 1
        assert "with the options and data of this sweep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "loss.pixels=1"], "loss.pixels: expected a field of TransformationWeights (image, latent, cosine)"),
        (["--set", "loss.image=much"], "loss.image: expected a number, got 'much'"),
        (["--set", "loss.image=0", "--set", "loss.latent=1"], "a weight of the image, where the VAE is trained too"),
        (["--digits", "1,1"], "RotationConfig.digits: expected different ones"),
        (["--early-stop", "2"], "TrainConfig.early_stop: expected 0 without validation data"),
        (["--preset", "scale-translate", "--model", "step"], "'step' only rotates"),
        (["--config", "nowhere.json"], "nowhere.json"),
        (["--config", "nowhere.json", "--preset", "study"], "--config: expected no --preset beside it"),
    ],
)
def test_bad_options_are_one_line_and_leave_nothing(tmp_path, few_digits, capsys, options, message):
    assert call("train", "rotation", "--data", few_digits, "--run-dir", tmp_path / "run", *options) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_an_option_for_both_trainings_leaves_out_the_one_that_is_not_there(tmp_path, few_digits, monkeypatch):
    found = []
    monkeypatch.setattr("latentcore.training.driver.train", lambda system, data, config, folder: found.append(config))
    words = ("--data", few_digits, "--run-dir", tmp_path / "run", "--seed", 5, "--activation", "tanh")
    with pytest.raises(AttributeError):  # no run
        call("train", "rotation", *words)
    with pytest.raises(AttributeError):
        call("train", "rotation", *words, "--preset", "study", "--device", "cpu")
    with pytest.raises(AttributeError):
        call("train", "rotation", *words, "--set", "vae_train.epochs=2")
    assert [(one.train.seed, one.vae_train and one.vae_train.seed) for one in found] == [(5, None), (5, 5), (5, 5)]
    assert {(one.vae.network.activation, one.operator.activation) for one in found} == {("tanh", "tanh")}
    assert found[1].train.device == found[1].vae_train.device == "cpu"
    assert found[1].digits == (1, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rotation", "--losses", "pixels=1"], "--losses: expected weights of image, latent, cosine, got 'pixels=1'"),
        (["rotation", "--losses", "image=much"], "--losses: expected a number behind image=, got 'much'"),
        (["rotation", "--losses", "latent=1"], "a weight of the image, where the VAE is trained too"),
        (["rotation", "--preset", "studio"], "did you mean study?"),
        (["rotation", "--seed", "much"], "train.seed: expected a whole number"),
        (["rotation", "--preset", "scale-translate", "--models", "step"], "'step' only rotates"),
    ],
)
def test_a_sweep_says_what_is_wrong_before_it_begins(tmp_path, few_digits, capsys, words, message):
    assert call("sweep", *words, "--data", few_digits, "--out", tmp_path / "sweep") == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("words", [[], ["gan"], ["--out", "sweep"]])
def test_a_sweep_is_one_of_rotations(words, capsys):
    with pytest.raises(SystemExit) as ended:
        call("sweep", *words)
    assert ended.value.code == 2
    assert "SYSTEM: expected rotation as the first word" in capsys.readouterr().err


def test_digits_are_chosen_where_the_network_fits_only_the_data(tmp_path):
    labels = np.arange(400) % 4
    pixels = np.random.default_rng(0).integers(0, 256, (400, 20, 20), dtype=np.uint8)
    np.savez(tmp_path / "small.npz", images=pixels, labels=labels)
    fields = ["--set", "vae.network.patch=5", "--set", "vae.network=attention", "--set", "vae.network.width=8"]
    words = [*fields, "--epochs", 1, "--digits", "1,3", "--latent", 2]
    assert call("train", "rotation", tmp_path / "small.npz", *words, "--run-dir", tmp_path / "run") == 0
    run = latentcore.load_run(tmp_path / "run")
    assert run.config.digits == (1, 3)
    assert run.config.vae.image_shape == (1, 20, 20)
    held = read_json(tmp_path / "run/held_out.json")["rows"]
    assert run.metrics["test_images"] == sum(labels[held] % 2)
