"""Classifiers from the command line."""

import json

import numpy as np
import pytest

from latentcore import load_run
from latentcore.cli import main
from latentcore.data import mnist

NARROW = ("--set", "resnet.width=0.03125", "--epochs", 1)


def call(*arguments):
    return main([str(argument) for argument in arguments])


def figures_in(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def judge(once, few_digits):
    """A narrow classifier of one epoch; nobody changes it."""
    words = ("train", "classifier", few_digits, "--preset", "upright", *NARROW, "--run-dir")
    return once("classifier-command", lambda folder: call(*words, folder / "judge")) / "judge"


def test_a_run_is_judged_at_twelve_angles_and_again(judge, few_digits, tmp_path, capsys):
    found = figures_in(judge)
    assert 0 < found["test_accuracy_rotated"] < found["test_accuracy"] + 0.3
    assert load_run(judge).config.train.augmentation.degrees == 10.0
    assert call("evaluate", judge, few_digits, "--out", tmp_path / "again") == 0
    assert "test_accuracy_rotated" in capsys.readouterr().out
    assert figures_in(tmp_path / "again") == {name: found[name] for name in figures_in(tmp_path / "again")}


def test_any_images_with_labels(tmp_path):
    digits = mnist.embedded("train")
    some = digits.images[::10, 0, 4:24, 4:24].numpy()
    np.savez(tmp_path / "some.npz", images=some, labels=digits.labels[::10].numpy())
    words = (tmp_path / "some.npz", *NARROW, "--validation", 0.1, "--run-dir", tmp_path / "run")
    assert call("train", "classifier", *words) == 0
    assert load_run(tmp_path / "run").classify(some[:5]).shape == (5,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "classifier", "plain.npy"), "plain: expected images to judge by with a label for each, got some"),
        (("train", "classifier", "--set", "resnet.classes=4", "digits"), r"whole numbers in [0, 4), got 0 to 9"),
        (("train", "classifier", "--resume", "RUN", "--epochs", 3), "--resume: expected no --epochs beside it"),
        (("evaluate", "RUN", "--test", "plain.npy"), "plain: expected images to judge by with a label for each"),
        (("evaluate", "RUN", "--test", "small.npz"), "small: expected images of (1, 28, 28), got (1, 9, 9)"),
    ],
)
def test_mistakes_are_one_line(judge, few_digits, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTCORE_DATA", str(few_digits))
    np.save("plain.npy", np.zeros((40, 28, 28), np.uint8))
    np.savez("small.npz", images=np.zeros((40, 9, 9), np.uint8), labels=np.zeros(40, int))
    assert call(*(str(word).replace("RUN", str(judge)) for word in words)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
