import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import latentcore
from latentcore import _config
from latentcore.models import VAE, VAEConfig, save_vae
from latentcore.train import create_run, load_run

CONFIG = VAEConfig(image_shape=(1, 12, 12), hidden=(8,), decoder_hidden=(8,))


@pytest.fixture
def folder(tmp_path):
    folder = create_run("vae", {"vae": _config.to_plain(CONFIG)}, tmp_path / "run")
    save_vae(VAE(CONFIG), folder / "checkpoints" / "model.pth")
    return folder


def test_a_new_folder_has_its_parts_and_is_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [create_run("vae", {"vae": {}}) for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        assert re.fullmatch(r"runs/vae-\d{8}T\d{6}(-\d+)?", str(folder))
        files = {"config.json", "commands.json", "checkpoints", "pictures", "tensorboard"}
        assert {entry.name for entry in folder.iterdir()} == files
    assert json.loads((folders[0] / "config.json").read_text()) == {"system": "vae", "vae": {}}
    with pytest.raises(ValueError, match="run_dir: expected a folder without a run"):
        create_run("vae", {}, folders[0])


def test_encode_decode_sample(folder):
    run = latentcore.load_run(folder)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 12, 12), dtype=np.uint8)
    means = run.encode(pictures)
    assert means.shape == (5, 2)
    for same in (
        pictures[:, None],
        torch.from_numpy(pictures),
        pictures.astype(np.float64) / 255,
        torch.from_numpy(pictures)[:, None] / 255,
        np.flip(np.flip(pictures, 0).copy(), 0),
    ):
        assert torch.allclose(run.encode(same), means, atol=1e-6)
    decoded = run.decode(means)
    assert decoded.shape == (5, 1, 12, 12)
    assert torch.equal(decoded, run.reconstruct(pictures))
    assert torch.equal(decoded, run.decode(means.numpy()))
    assert run.sample(3).shape == (3, 1, 12, 12)
    assert torch.equal(run.sample(3), run.sample(3))
    assert not torch.equal(run.sample(3), run.sample(3, seed=1))


def test_a_run_without_a_classifier_says_so(folder):
    with pytest.raises(TypeError, match=r"'vae' .* does not classify"):
        load_run(folder).classify(torch.zeros(1, 12, 12))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda run: run.encode(np.zeros((2, 28, 28))), ValueError, r"images: expected shape \(N, 12, 12\) or"),
        (lambda run: run.encode(np.zeros((0, 12, 12))), ValueError, "at least one image"),
        (lambda run: run.encode(np.full((2, 12, 12), np.nan)), ValueError, "nan"),
        (lambda run: run.encode(np.full((2, 12, 12), 2.0)), ValueError, "from 2 to 2"),
        (lambda run: run.encode(np.full((2, 12, 12), -0.1)), ValueError, r"\[0, 1\]"),
        (lambda run: run.encode(np.zeros((2, 12, 12), dtype=int)), TypeError, "uint8"),
        (lambda run: run.encode(np.array([["a"]])), TypeError, "array of numbers"),
        (lambda run: run.encode([[1, 2]]), TypeError, "got list"),
        (lambda run: run.decode(np.zeros((2, 3))), ValueError, r"z: expected shape \(N, 2\)"),
        (lambda run: run.decode(np.full((2, 2), np.inf)), ValueError, "z: expected finite numbers"),
        (lambda run: run.sample(0), ValueError, "n: expected"),
    ],
)
def test_bad_input(folder, call, error, message):
    with pytest.raises(error, match=message):
        call(load_run(folder))


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_damaged_runs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    path = folder / "checkpoints" / "model.pth"
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(ValueError, match=r"model\.pth: expected a whole file"):
        load_run(folder)
    torch.save({"encoder.1.weight": Hostile()}, path)
    with pytest.raises(ValueError, match=r"model\.pth: expected a whole file"):
        load_run(folder)
    assert not (folder / "executed").exists()
    save_vae(VAE(VAEConfig()), path)
    with pytest.raises(ValueError, match=r"model\.pth: expected a state dict of the configured VAE"):
        load_run(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load_run(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a JSON file"),
        ("[]", "expected a JSON object"),
        ("[" * 100_000, "expected a JSON file"),
        ("{}", "expected the name of a system under 'system'"),
        ('{"system": "vae"}', "expected 'vae' or 'autoencoder'"),
        ('{"system": "vae", "vae": {"latent": "2"}}', r"vae\.latent: expected an int"),
        ('{"system": "vae", "vae": {"hidden": [1000000000, 1000000000]}}', "expected a state dict of the configured"),
    ],
)
def test_damaged_configurations(folder, content, message):
    (folder / "config.json").write_text(content)
    with pytest.raises((ValueError, TypeError), match=message):
        load_run(folder)


def test_importing_the_package_is_light():
    program = "import sys, latentcore; assert 'torch' not in sys.modules; latentcore.__version__; dir(latentcore)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_is_there():
    for name in latentcore.__all__:
        assert getattr(latentcore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        latentcore.nonsense  # noqa: B018
