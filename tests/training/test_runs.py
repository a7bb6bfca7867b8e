import json
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

import latentcore
from children import run_child
from latentcore import _config, load_run
from latentcore.models import VAE, MLPConfig, VAEConfig, save_vae
from latentcore.training import create_run
from latentcore.training.checkpoint import seconds_trained
from latentcore.training.journal import Journal
from latentcore.training.provenance import commands_of

CONFIG = VAEConfig(image_shape=(1, 12, 12), network=MLPConfig(hidden=(8,), decoder_hidden=(8,)))


@pytest.fixture
def folder(tmp_path):
    folder = create_run("autoencoder", {"vae": _config.to_plain(CONFIG)}, tmp_path / "run")
    save_vae(VAE(CONFIG), folder / "checkpoints" / "model.pth")
    return folder


def test_a_new_folder_has_its_parts_and_is_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [create_run("autoencoder", {"vae": {}}) for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        assert re.fullmatch(r"runs/autoencoder-\d{8}T\d{6}(-\d+)?", str(folder))
        files = {"config.json", "commands.json", "checkpoints", "pictures", "tensorboard"}
        assert {entry.name for entry in folder.iterdir()} == files
    assert json.loads((folders[0] / "config.json").read_text()) == {"system": "autoencoder", "format": 3, "vae": {}}
    with pytest.raises(ValueError, match="run_dir: expected a folder without a run"):
        create_run("autoencoder", {}, folders[0])


def test_of_many_who_begin_the_same_run_one_does(tmp_path):
    """50 times 4 threads, and 50 times 2 processes."""
    with ThreadPoolExecutor(4) as pool:
        for attempt in range(50):
            begun = list(pool.map(begin, [tmp_path / f"threads-{attempt}"] * 4, range(4)))
            assert sorted(begun) == [False, False, False, True]
            config = json.loads((tmp_path / f"threads-{attempt}" / "config.json").read_text())
            assert config["number"] == begun.index(True)
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        for attempt in range(50):
            begun = list(pool.map(begin, [tmp_path / f"processes-{attempt}"] * 2, range(2)))
            assert sorted(begun) == [False, True]
    assert not list(tmp_path.rglob(".*"))


def begin(folder, number):
    try:
        create_run("autoencoder", {"number": number}, folder)
    except ValueError:
        return False
    return True


def test_a_run_is_not_begun_over_a_link(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ValueError, match="a folder without a run"):
        create_run("autoencoder", {}, tmp_path / "run")
    assert not (tmp_path / "elsewhere.json").exists()


def test_encode_decode_sample(folder):
    run = load_run(folder)
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
    with pytest.raises(TypeError, match=r"'autoencoder' .* does not classify"):
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
    state = VAE(CONFIG).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"model\.pth: .*it is no archive"):
        load_run(folder)
    torch.save({**state, "_extra_state": [8] * 600_000}, path)
    with pytest.raises(ValueError, match=r"model\.pth: .* bytes of it are no numbers, more than 1,000,000"):
        load_run(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load_run(folder)


@pytest.mark.parametrize("name", ["config.json", "checkpoints/model.pth"])
def test_what_is_no_plain_file_is_neither_waited_for_nor_followed(folder, tmp_path, name):
    path = folder / name
    path.rename(tmp_path / "own")
    os.mkfifo(path)
    with pytest.raises(ValueError, match=f"{name}: expected a regular file, got a pipe"):
        load_run(folder)
    path.unlink()
    path.symlink_to(tmp_path / "own")
    with pytest.raises(ValueError, match=f"{name}: expected a file in .*run, got a link that leads out of it"):
        load_run(folder)
    path.unlink()
    (tmp_path / "own").rename(folder / "own")
    path.symlink_to(folder / "own")  # within
    assert load_run(folder).sample(1).shape == (1, 1, 12, 12)
    os.truncate(folder / "own", 10**11)
    with pytest.raises(ValueError, match=f"{name}: expected"):
        load_run(folder)


def test_a_folder_of_checkpoints_elsewhere_is_not_followed(folder, tmp_path):
    (folder / "metrics.json").symlink_to("/proc/self/environ")
    with pytest.raises(ValueError, match=r"metrics\.json: .*got a link that leads out of it"):
        _ = load_run(folder).metrics
    (folder / "checkpoints").rename(tmp_path / "elsewhere")
    (folder / "checkpoints").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "latest").symlink_to(folder)
    for run in (folder, tmp_path / "latest"):
        with pytest.raises(ValueError, match=r"model\.pth: .*got a link that leads out of it"):
            load_run(run)
    assert seconds_trained(folder) == 0
    (tmp_path / "elsewhere" / "last.pth").touch()
    with pytest.raises(ValueError, match=r"last\.pth: .*got a link that leads out of it"):
        seconds_trained(folder)
    assert commands_of(folder / "commands.json")
    (folder / "commands.json").rename(tmp_path / "commands.json")
    (folder / "commands.json").symlink_to(tmp_path / "commands.json")
    assert not commands_of(folder / "commands.json")


def test_the_journal_sweeps_up_and_names_what_cannot_be_written(folder, tmp_path):
    left = folder / "checkpoints" / f".last.{os.getpid()}-999999.part.pth"
    left.touch()
    with journal(folder) as written:
        assert not left.exists()
        written.write([{"epoch": 0, "loss": 1.0}])
        (folder / "metrics.csv").unlink()
        (folder / "metrics.csv").mkdir()
        with pytest.raises(OSError, match=r"metrics\.csv'$"):
            written.write([{"epoch": 0, "loss": 1.0}])
    (folder / "tensorboard").rename(tmp_path / "elsewhere")
    (folder / "tensorboard").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"tensorboard: .*got a link that leads out of it"):
        journal(folder)


def journal(folder):
    return Journal(folder, epochs=1, steps=1, done=0, unit="images", bar=True)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hidden", [64] * 5_000, "many more layers than there are tensors"),
        ("decoder_hidden", [64] * 5_000, "many more layers than there are tensors"),
        ("hidden", [64] * 1_000_000, "at most 10,000 values"),
        ("hidden", [[[]]] * 10_000, "at most 10,000 values"),
    ],
)
def test_many_times_more_layers_than_tensors_are_not_built(folder, field, value, words):
    config = json.loads((folder / "config.json").read_text())
    config["vae"]["network"][field] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf"config\.json: .*{words}"):
        load_run(folder)


def test_data_may_come_from_very_many_files(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "source": {"files": ["a.npz"] * 20_000}}))
    assert load_run(folder).sample(1).shape == (1, 1, 12, 12)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a JSON file"),
        ("[]", "expected a JSON object"),
        ("[" * 100_000, "expected a JSON file"),
        ("{}", "expected the name of a system under 'system'"),
        (
            '{"system": "autoencoder"}',
            "AutoencodingConfig: expected a vae or an autoencoder, the other one none, got none",
        ),
        ('{"system": "autoencoder", "vae": {"latent": "2"}}', r"vae\.latent: expected an int"),
        (
            '{"system": "autoencoder", "vae": {"network": {"hidden": [1000000000, 1000000000]}}}',
            "expected a state dict of the configured",
        ),
    ],
)
def test_damaged_configurations(folder, content, message):
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as found:
        load_run(folder)
    assert str(folder) in str(found.value)


def test_importing_the_package_is_light():
    program = "import sys, latentcore; assert 'torch' not in sys.modules; latentcore.__version__; dir(latentcore)"
    assert run_child([sys.executable, "-c", program]).returncode == 0


def test_every_public_name_is_there():
    for name in latentcore.__all__:
        assert getattr(latentcore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        latentcore.nonsense  # noqa: B018
