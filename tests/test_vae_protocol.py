"""vae.py's three commands in a folder of their own, in this process; as one of its own for the code at its end."""

import os
import pickle
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from children import run_child
from latentcore.data import ImageSet, mnist, save_images

VAE = Path(__file__).parent.parent / "vae.py"


def vae_here(folder, *arguments):
    """The code with which vae.py ends in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [str(VAE), *arguments])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(VAE), run_name="__main__")
    return stopped.value.code


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def train_in(folder):
    train, test = (mnist.embedded(split).select((1, 4, 8)) for split in ("train", "test"))
    save_images(folder / "train.npz", ImageSet(train.images))
    save_images(folder / "val.npz", train.draw(5, seed=0))
    save_images(folder / "test.npz", test)
    np.save(folder / "ten.npy", test.images[:10, 0].numpy() / np.float32(255))
    (folder / "hostile.pkl").write_bytes(pickle.dumps(Hostile()))
    np.savez(folder / "small.npz", data=np.zeros((2, 5, 5), np.uint8))
    (folder / "short.npz").write_bytes((folder / "test.npz").read_bytes()[:500])
    assert vae_here(folder, "train.npz", "val.npz", "train", "vae.pth", "gmm_params.pkl") == 0


@pytest.fixture
def trained(once, tmp_path):
    """The test's own folder with the protocol's files after training."""
    shutil.copytree(once("protocol", train_in), tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.long
def test_both_files_are_data(trained):
    for name in ("vae.pth", "gmm_params.pkl"):
        assert isinstance(torch.load(trained / name, weights_only=True), dict)


def test_reconstruction_has_the_shape_of_the_input(trained):
    assert vae_here(trained, "ten.npy", "test_reconstruction", "vae.pth") == 0
    with np.load(trained / "vae_reconstructed.npz") as file:
        (decoded,) = (file[key] for key in file.files)
    assert decoded.shape == (10, 28, 28)
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    original = np.load(trained / "ten.npy")
    assert ((decoded - original) ** 2).mean() < 0.06


def test_classifier_writes_a_label_per_image_in_order(trained, capsys):
    assert vae_here(trained, "test.npz", "test_classifier", "vae.pth", "gmm_params.pkl") == 0
    printed = capsys.readouterr().out
    lines = (trained / "vae.csv").read_text().splitlines()
    assert lines[0] == "Predicted_Label"
    predicted = np.array([int(line) for line in lines[1:]])
    accuracy = (predicted == mnist.embedded("test").select((1, 4, 8)).labels.numpy()).mean()
    assert accuracy > 0.8
    assert f"accuracy {accuracy:.4f}" in printed
    for word in ("precision", "recall", "F1"):
        assert word in printed


MISTAKES = [
    ([], 2, "python vae.py TRAIN VAL train"),
    (["test.npz", "test_classifier", "vae.pth"], 2, "python vae.py TRAIN VAL train"),
    (["none.npz", "test_reconstruction", "vae.pth"], 1, "error: [Errno 2]"),
    (["test.npz", "test_reconstruction", "gmm_params.pkl"], 1, "error: gmm_params.pkl: expected the state dict"),
    (["test.npz", "test_classifier", "vae.pth", "vae.pth"], 1, "error: vae.pth"),
    (["test.npz", "test_classifier", "vae.pth", "hostile.pkl"], 1, "error: hostile.pkl"),
    (["test.npz", "test_reconstruction", "hostile.pkl"], 1, "error: hostile.pkl"),
    (["small.npz", "test_reconstruction", "vae.pth"], 1, "error: images: expected shape"),
    (["short.npz", "test_reconstruction", "vae.pth"], 1, "error: short.npz: expected a whole .npz file"),
    (["train.npz", "train.npz", "train", "a.pth", "b.pkl"], 1, "error: train.npz: expected labels"),
    (["train.npz", "val.npz", "train", "a.pth", "./a.pth"], 1, "error: GMM_FILE: expected another file"),
    (["train.npz", "val.npz", "train", "a.pth", "."], 1, "expected a file to write, got a folder"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES)
def test_bad_input_is_one_line_and_writes_nothing(trained, capsys, arguments, code, message):
    before = {path.name for path in trained.iterdir()}
    assert vae_here(trained, *arguments) == code
    error = capsys.readouterr().err
    assert message in error
    assert code == 2 or len(error.splitlines()) == 1
    assert {path.name for path in trained.iterdir()} == before


@pytest.mark.long
def test_bad_input_ends_a_process_with_a_code(trained):
    before = {path.name for path in trained.iterdir()}
    arguments, code, message = MISTAKES[5]  # one that opens both files
    command = [sys.executable, str(VAE), *arguments]
    done = run_child(command, cwd=trained)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in trained.iterdir()} == before
