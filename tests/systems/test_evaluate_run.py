"""`evaluate_run`: what the command line does, from Python."""

import json

import numpy as np
import pytest
import torch
from tiny import configuration, images

from latentcore import evaluate_run, train
from latentcore.cli import main


def figures(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_it_finds_what_the_command_finds(tmp_path):
    pictures, labels = images(120)
    np.savez(tmp_path / "a.npz", images=pictures.numpy(), labels=labels.numpy())
    config = configuration("autoencoder", epochs=1)
    train("autoencoder", tmp_path / "a.npz", config=config, run_dir=tmp_path / "run")
    found = evaluate_run(tmp_path / "run")
    assert figures(tmp_path / "run") == found
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "run/pictures").glob("*.png")}
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert figures(tmp_path / "run") == found
    assert {path.name: path.read_bytes() for path in (tmp_path / "run/pictures").glob("*.png")} == drawn
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    assert evaluate_run(tmp_path / "run", tmp_path / "b.npz") == found  # where it lies now
    others = evaluate_run(tmp_path / "run", test=tmp_path / "b.npz", tsne=True)
    assert others["test_images"] == 120
    assert figures(tmp_path / "run") == found
    assert len(list((tmp_path / "run/evaluations").glob("b-*/pictures/tsne.png"))) == 1


def test_a_system_that_compares_with_its_data_wants_them(tmp_path):
    pictures, labels = images(96)
    learned, test = pictures[:60], (pictures[60:], labels[60:])
    train("gan", learned, config=configuration("gan", epochs=1), test=test, run_dir=tmp_path / "run")
    judge = train(
        "classifier", pictures, labels=labels, config=configuration("classifier", epochs=1), run_dir=tmp_path / "j"
    )
    found = evaluate_run(tmp_path / "run", learned, test=test, classifier=judge)
    assert figures(tmp_path / "run") == found
    assert evaluate_run(tmp_path / "run", learned, test=test, classifier=tmp_path / "j") == found
    for others in (pictures[36:], torch.zeros_like(learned)):
        with pytest.raises(ValueError, match=r"data: expected the data with which .*run began, got others"):
            evaluate_run(tmp_path / "run", others, test=test)
    with pytest.raises(
        ValueError, match=r"data: expected the images of .*, which were handed in from Python, got none"
    ):
        evaluate_run(tmp_path / "run", test=test)
    with pytest.raises(ValueError, match="classifier: expected a run of the system 'classifier'"):
        evaluate_run(tmp_path / "run", learned, test=test, classifier=tmp_path / "run")
