"""What every run may rely on: its data, its figures and its folder are its own."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from tiny import configuration, data, images

from latentcore import load_run, resume, train
from latentcore.cli import main
from latentcore.data import ImageSet
from latentcore.data.examples import Examples


def call(*words):
    return main([str(word) for word in words])


def figures(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files of images to learn from and to judge by, in the folder in which we are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)
    pictures, labels = images(120)
    for name, rows in (("a", slice(0, 60)), ("b", slice(60, 100)), ("t", slice(100, 120))):
        np.savez(f"{name}.npz", images=pictures[rows].numpy(), labels=labels[rows].numpy())
    return tmp_path


def small(name, folder):
    """Words that make a system small."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"system": name, "format": 3, **configuration(name, epochs=1, batch_size=20).to_dict()}))
    return ("--config", file)


def test_a_gan_is_judged_beside_what_it_has_learned(files, capsys):
    words = (*small("gan", files), "--test", "t.npz", "--run-dir", "run")
    assert call("train", "gan", "a.npz", *words) == 0
    before = figures(files / "run")
    assert call("evaluate", "run", "b.npz", "--test", "t.npz") == 1
    assert "DATA: expected the data with which run began, got others" in capsys.readouterr().err
    assert call("evaluate", "run") == 0
    assert figures(files / "run") == before


def test_samples_stand_beside_those_of_a_prior_alone(files, capsys):
    (files / "plain.json").write_text(
        json.dumps(
            {
                "autoencoder": {
                    "image_shape": [1, 12, 12],
                    "latent": 2,
                    "network": {"hidden": [8], "decoder_hidden": [8]},
                }
            }
        )
    )
    assert call("train", "autoencoder", "a.npz", "--config", "plain.json", "--epochs", 1, "--run-dir", "plain") == 0
    assert call("train", "gan", "a.npz", *small("gan", files), "--beside", "plain", "--run-dir", "run") == 1
    assert "beside: expected a run of a GAN, or of a VAE without classes" in capsys.readouterr().err
    assert not (files / "run").exists()


def test_a_few_label_run_of_python_is_judged_by_its_classes(tmp_path):
    pictures, labels = images(96)
    some = torch.isin(labels, torch.tensor([0, 1]))
    config = dataclasses.replace(configuration("few-label", epochs=1), classes=())
    known = (pictures[some][:10], labels[some][:10])
    run = train("few-label", pictures[some], labelled=known, config=config, run_dir=tmp_path / "run")
    assert run.config.classes == (0, 1)
    np.savez(tmp_path / "all.npz", images=pictures.numpy(), labels=labels.numpy())
    assert call("evaluate", tmp_path / "run", "--test", tmp_path / "all.npz", "--out", tmp_path / "out") == 0
    assert figures(tmp_path / "out")["test_images"] == int(some.sum())


def test_runs_in_a_runs_folder_are_not_its_own(tmp_path):
    pictures, _ = images()
    train("gan", pictures, config=configuration("gan", epochs=1), run_dir=tmp_path / "run" / "older")
    slow = torch.load(tmp_path / "run/older/checkpoints/last.pth", weights_only=True)
    slow["history"][0]["seconds"] = 1000.0
    torch.save(slow, tmp_path / "run/older/checkpoints/last.pth")
    run = train("gan", pictures, config=configuration("gan", epochs=1), run_dir=tmp_path / "run")
    assert run.metrics["seconds"] < 500


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("autoencoder", {"labels": np.zeros(60, int)}, "labels: expected none beside names, paths and examples"),
        ("autoencoder", {"labelled": (np.zeros((3, 12, 12)), [0, 1, 2])}, "labelled: expected none"),
        ("egamma", {"validation": np.zeros(3)}, "validation: expected none"),
    ],
)
def test_what_would_not_count_is_refused(files, name, given, message):
    found = "a.npz" if name == "autoencoder" else data(name, files)[0]
    with pytest.raises(ValueError, match=message):
        train(name, found, config=configuration(name, epochs=1), run_dir="run", **given)
    assert not (files / "run").exists()


def test_examples_may_have_roles_beside_them(tmp_path):
    pictures, _ = images()
    examples = Examples(ImageSet(pictures[:60]))
    config = configuration("gan", epochs=1)
    train("gan", examples, config=config, validation=pictures[60:], run_dir=tmp_path / "run")
    assert "validation_loss" in (tmp_path / "run" / "metrics.csv").read_text()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"batch_size": 20, "accumulate": 4},
            ValueError,
            r"TrainConfig\.batch_size: expected a multiple of",
        ),
        (None, TypeError, "config: expected a GANTraining, got AutoencodingConfig"),
    ],
)
def test_what_does_not_fit_leaves_no_folder(tmp_path, change, error, message):
    pictures, _ = images(17)
    config = configuration("autoencoder") if change is None else configuration("gan", **change)
    with pytest.raises(error, match=message):
        train("gan", pictures, config=config, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("found", [99, "abc", True])
def test_a_format_of_another_version_is_refused(tmp_path, found):
    pictures, _ = images()
    train("gan", pictures, config=configuration("gan", epochs=1), run_dir=tmp_path / "run")
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    (tmp_path / "run" / "config.json").write_text(json.dumps({**about, "format": found}))
    for use in (load_run, lambda folder: resume(folder, pictures)):
        with pytest.raises(ValueError, match=r"config\.json: format: expected 2 to 3, or none"):
            use(tmp_path / "run")


def test_a_run_finds_its_data_set_whatever_lies_beside_it(files, capsys):
    words = (*small("autoencoder", files), "--set", "vae.image_shape=1,28,28", "--run-dir", "digits")
    assert call("train", "autoencoder", "digits", *words) == 0
    assert call("evaluate", "digits") == 0
    assert call("train", "autoencoder", "--resume", "digits") == 0
    assert "test_images" in capsys.readouterr().out


def test_data_that_are_gone_are_named(files, capsys):
    assert call("train", "autoencoder", "a.npz", *small("autoencoder", files), "--run-dir", "run") == 0
    (files / "a.npz").rename(files / "moved.npz")
    assert call("evaluate", "run") == 1
    assert f"{files / 'a.npz'}: expected the data with which run began, found none" in capsys.readouterr().err
    assert call("evaluate", "run", "moved.npz") == 0


def test_a_run_of_arrays_wants_them_again(files, capsys):
    pictures, _ = images(60)
    train("autoencoder", pictures, config=configuration("autoencoder", epochs=1), run_dir="run")
    with pytest.raises(ValueError, match="data: expected the images of run, which were handed in from Python"):
        resume("run")
    assert call("evaluate", "run", "b.npz", "--test", "t.npz") == 0
    assert figures(files / "run").keys() & {"mse"} == set()  # of others than its own


def test_misspelled_fields_are_named_before_data_are_read(files, capsys):
    assert call("train", "autoencoder", "nowhere.npz", "--set", "vae.latnt=3") == 1
    assert "did you mean vae.latent?" in capsys.readouterr().err
