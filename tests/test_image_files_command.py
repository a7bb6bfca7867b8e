"""Files of images as they come, from the command line."""

import json

import numpy as np
import pytest

from latentcore import load_run
from latentcore.cli import main


def call(*arguments):
    return main([str(argument) for argument in arguments])


def test_dim_floats_with_channels_last_and_damaged_labels(tmp_path, capsys):
    file, run = tmp_path / "last.npz", tmp_path / "run"
    dim = np.random.default_rng(0).random((40, 8, 8, 5)).astype(np.float32) * np.float32(0.0015)
    np.savez(file, images=dim, labels=np.array(["seven"] * 40))
    words = ("train", "autoencoder", "--data", file, "--preset", "ae-2d", "--epochs", 1, "--run-dir", run)
    assert call(*words) == 1
    assert "expected channels before rows and columns" in capsys.readouterr().err
    assert not run.exists()
    with pytest.warns(UserWarning, match="the images are read without labels"):
        assert call(*words, "--channels-last") == 0
    assert json.loads((run / "config.json").read_text())["autoencoder"]["image_shape"] == [5, 8, 8]
    with np.load(run / "latents.npz") as found:
        own = load_run(run).encode(np.moveaxis(dim, 3, 1))
        assert all(any(np.allclose(z, other, atol=1e-4) for other in own) for z in found["z"])
    with pytest.warns(UserWarning, match="the images are read without labels"):
        assert call("compare", run, "--test", file, "--channels-last", "--out", tmp_path / "out") == 0


def test_channels_last_is_of_files_of_images(few_digits, tmp_path, capsys):
    words = ("train", "gan", "--data", few_digits, "--channels-last", "--run-dir", tmp_path / "run")
    assert call(*words) == 1
    assert f"channels_last: expected a file of images beside it, got {few_digits}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
