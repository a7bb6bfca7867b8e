"""Few-label systems from the command line."""

import json

import numpy as np
import pytest

from latentcore import load_run, resume
from latentcore.cli import main
from latentcore.data import mnist


def call(*arguments):
    return main([str(argument) for argument in arguments])


def figures_in(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def run(once, few_digits):
    """A plain system of three other digits than usual; nobody changes it."""
    words = ("few-label", few_digits, "--preset", "plain", "--classes", "3,5,7", "--labels-per-class", 3)
    return once("few-label-command", lambda folder: call("train", *words, "--run-dir", folder / "run")) / "run"


def test_classes_and_labels_are_part_of_the_configuration(run, few_digits, tmp_path):
    config = load_run(run).config
    assert (config.classes, config.labels_per_class) == ((3, 5, 7), 3)
    words = ("train", "few-label", few_digits, "--config", run / "config.json", "--run-dir", tmp_path / "again")
    assert call(*words) == 0
    images = mnist.embedded("test").images[:50]
    assert load_run(tmp_path / "again").classify(images).equal(load_run(run).classify(images))


def test_evaluation_needs_the_test_images_of_its_classes_alone(run, few_digits, tmp_path):
    before = figures_in(run)
    assert before["test_images"] == len(mnist.load(few_digits, "test").select((3, 5, 7)))
    assert call("evaluate", run, few_digits, "--out", tmp_path / "again") == 0
    after = figures_in(tmp_path / "again")
    assert after == {name: before[name] for name in after}
    assert before.keys() - after.keys() == {
        *("seconds", "parameters", "images_per_second", "loss", "reconstruction", "kl", "f1_plain")
    }
    pictures = {"losses.png", "reconstructions.png", "rotations.png", "manifold.png", "latents.png"}
    assert {path.name for path in (tmp_path / "again/pictures").iterdir()} == pictures
    assert (tmp_path / "again/latents.npz").exists()


def test_a_run_goes_on_with_the_same_labels(run, few_digits, tmp_path):
    words = ("few-label", few_digits, "--config", run / "config.json", "--run-dir", tmp_path / "run")
    assert call("train", *words, "--epochs", 1) == 0
    (tmp_path / "run/checkpoints/mixture.pth").unlink()
    assert call("train", "few-label", "--resume", tmp_path / "run") == 0
    assert resume(tmp_path / "run").mixture.classes_.tolist() == [3, 5, 7]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "few-label", "digits", "--classes", "1,x"), "classes: expected a whole number, got 'x'"),
        (("train", "few-label", "digits", "--classes", "1,1"), "FewLabelConfig.classes: expected different classes"),
        (("train", "few-label", "digits", "--classes", "1,12"), "classes: expected some of [0, 1, 2, 3, 4, 5, 6, 7,"),
        (
            ("train", "few-label", "digits", "--labels-per-class", 301),
            "per_class: expected an int in [1, 300], got 301",
        ),
        (("train", "few-label", "plain.npy"), "plain: expected images to judge by with a label for each"),
        (("train", "few-label", "--resume", "RUN", "--classes", "1,4"), "--resume: expected no --classes beside it"),
        (("train", "gan", "--resume", "RUN"), "expected a run of the system 'gan', got one of 'few-label'"),
        (("evaluate", "RUN", "--test", "small.npz"), "small: expected images of (1, 28, 28), got (1, 9, 9)"),
        (("evaluate", "RUN", "--test", "ones.npz"), "classes: expected some of [1], got [3, 5, 7]"),
    ],
)
def test_mistakes_are_one_line(run, few_digits, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTCORE_DATA", str(few_digits))
    np.save("plain.npy", np.zeros((40, 28, 28), np.uint8))
    np.savez("small.npz", images=np.zeros((6, 9, 9), np.uint8), labels=[3, 5, 7, 3, 5, 7])
    np.savez("ones.npz", images=np.zeros((6, 28, 28), np.uint8), labels=np.ones(6, int))
    assert call(*(str(word).replace("RUN", str(run)) for word in words)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
