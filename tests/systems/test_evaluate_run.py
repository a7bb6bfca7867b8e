"""`evaluate_run`: what the command line does, from Python."""

import json

import numpy as np
import pytest
import torch
from tiny import configuration, images

from latentcore import _extras, evaluate_run, load_run, train, write_report
from latentcore.cli import main
from latentcore.models import GAN


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


def test_it_takes_an_open_run(tmp_path):
    pictures, _ = images(60)
    run = train("autoencoder", pictures[:48], config=configuration("autoencoder", epochs=1), run_dir=tmp_path / "run")
    assert evaluate_run(run, test=pictures[48:]) == evaluate_run(run.folder, test=pictures[48:])
    one, other = (write_report(what, tmp_path / "page.html").stat().st_size for what in (run, str(run.folder)))
    assert one > 1_000_000
    assert other > 1_000_000


def test_an_open_run_of_an_own_model_needs_no_model(tmp_path):
    pictures, _ = images(60)
    config = configuration("gan", epochs=1)
    train("gan", pictures[:48], config=config, model=OwnGAN, run_dir=tmp_path / "run")
    run = load_run(tmp_path / "run", model=OwnGAN)
    evaluate_run(run, pictures[:48], test=pictures[48:])
    assert list((tmp_path / "run").glob("**/pictures/*.png"))
    with pytest.raises(ValueError, match=r"data: expected the data with which .*run began, got others"):
        evaluate_run(run, pictures[1:49], test=pictures[48:])


class OwnGAN(GAN):
    """The same under another name."""


def test_without_the_extra_it_says_which_one(tmp_path, monkeypatch):
    monkeypatch.setattr(_extras, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"lightning_fabric: expected the extra \[train\]"):
        evaluate_run(tmp_path)


def test_a_folder_of_a_run_is_named_as_the_command_line_does(tmp_path, capsys):
    pictures, _ = images(60)
    np.save(tmp_path / "a.npy", pictures.numpy())
    config = configuration("autoencoder", epochs=1)
    run = train("autoencoder", pictures, config=config, run_dir=tmp_path / "run")
    words = ["evaluate", str(run.folder), "--test", str(tmp_path / "a.npy"), "--out", str(run.folder)]
    assert main(words) == 1
    assert capsys.readouterr().err.startswith("error: out (--out DIR): expected a folder without a run in it")
