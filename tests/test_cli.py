"""The command: what it leaves and says in this process, how a process of its own ends and is interrupted."""

import json
import resource
import sys

import numpy as np
import pytest
import torch

import latentcore
from children import run_child
from latentcore.cli import main
from latentcore.commands.demo import TRAIN
from latentcore.systems.few_label.config import PRESETS

PICTURES = {"losses.png", "reconstructions.png", "rotations.png", "manifold.png", "latents.png"}


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    """MNIST's files are only where a test says."""
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)


def call(*arguments):
    """Run the command in this process."""
    return main([str(argument) for argument in arguments])


def test_help_is_fast_since_torch_stays_out():
    code = "import sys; from latentcore.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = run_child([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
    assert done.stdout.splitlines()[-1] == "False False"


def test_version():
    command = [sys.executable, "-m", "latentcore.cli", "--version"]
    done = run_child(command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == latentcore.__version__


def test_info(capsys):
    assert call("info") == 0
    printed = capsys.readouterr().out
    for word in ("torch", "SIMD level", "threads", "CPU kernels", "liblatentcore_cpu.so", "devices"):
        assert word in printed


def test_demo_prints_figures_and_leaves_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(TRAIN, "epochs", 10)
    assert call("demo", "--run-dir", tmp_path / "run", "--seed", 0) == 0
    printed = capsys.readouterr().out
    for word in ("F1 score", "SSIM", "PSNR", "seconds", "kernels", "rotations"):
        assert word in printed
    assert {path.name for path in (tmp_path / "run" / "pictures").iterdir()} == PICTURES
    page = tmp_path / "run" / "report.html"
    assert printed.splitlines()[-1] == f"report       {page}"
    assert "Latent explorer" in page.read_text()
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert figures["f1"] > 0.85
    assert figures["test_images"] == 150


def test_train_then_evaluate(tmp_path, few_digits, capsys):
    run = tmp_path / "run"
    words = ("--data", few_digits, "--epochs", 6, "--run-dir", run, "--labels-per-class", 3)
    assert call("train", "few-label", *words) == 0
    assert "f1_plain" in capsys.readouterr().out
    before = json.loads((run / "metrics.json").read_text())
    assert call("evaluate", run, "--data", few_digits) == 0
    after = json.loads((run / "metrics.json").read_text())
    assert {key: after[key] for key in ("f1", "ssim", "mse")} == {key: before[key] for key in ("f1", "ssim", "mse")}
    loaded = latentcore.load_run(run)
    assert loaded.sample(3).shape == (3, 1, 28, 28)


def test_data_fetch_and_export(tmp_path, mnist_folder, capsys):
    words = ("--data", mnist_folder, "--out", tmp_path / "files", "--classes", "3,5")
    assert call("data", "export", *words) == 0
    assert {path.name for path in (tmp_path / "files").iterdir()} == {"train.npz", "val.npz", "test.npz"}
    assert call("data", "fetch", "mnist", "--from", mnist_folder, "--out", tmp_path / "mnist") == 1
    assert "expected content with MD5" in capsys.readouterr().err  # these digits are not the whole set
    assert not (tmp_path / "mnist").exists()


# Ctrl-C in a training, in the third of its epochs, of a step each
INTERRUPTED = """
import os, signal, sys
from torch.nn.modules.module import register_module_forward_hook
from latentcore.cli import main
from latentcore.models import VAE
passes = 0
def interrupt(module, inputs, outputs):
    global passes
    passes += type(module) is VAE
    if passes == 3:
        os.kill(os.getpid(), signal.SIGINT)
register_module_forward_hook(interrupt)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.long
def test_ctrl_c_leaves_a_whole_checkpoint_from_which_training_goes_on(tmp_path, few_digits, capsys):
    run = tmp_path / "run"
    words = ("train", "few-label", "--data", few_digits, "--epochs", 6, "--run-dir", run)
    done = run_child([sys.executable, "-c", INTERRUPTED, *map(str, words)])
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"interrupted: the last checkpoint is whole, and `--resume {run}` goes on from it"
    )
    assert not [path for path in run.rglob("*") if ".part" in path.name]
    assert epochs_of(run) == ["0", "1"]
    assert call("evaluate", run, "--data", few_digits) == 1
    assert "expected the mixture of a finished run, found none" in capsys.readouterr().err
    resume = ("train", "few-label", "--data", few_digits, "--resume", run)
    for option in (("--epochs", 3), ("--classes", "3,5,7")):
        assert call(*resume, *option) == 1
        assert f"expected no {option[0]} beside it" in capsys.readouterr().err
    assert call(*resume) == 0
    assert epochs_of(run) == [str(epoch) for epoch in range(6)]


def epochs_of(run):
    return [row.split(",")[0] for row in (run / "metrics.csv").read_text().splitlines()[1:]]


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, few_digits, capsys):
    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
        assert call("train", "few-label", "--data", few_digits, "--run-dir", run) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: [Errno 27] File too large")
    assert "Traceback" not in error
    assert not list((run / "checkpoints").iterdir())
    config = json.loads((run / "config.json").read_text())  # which did fit
    assert config["train"]["epochs"] == PRESETS["digits148"].train.epochs


@pytest.mark.parametrize("allocate", [np.empty, torch.empty])
def test_no_memory_is_one_line(monkeypatch, capsys, allocate):
    monkeypatch.setattr("latentcore.commands.info.info", lambda words: allocate(2**52))
    assert call("info") == 1
    error = capsys.readouterr().err
    assert error.startswith("error: not enough memory: ")
    assert len(error.splitlines()) == 1


def test_a_mistake_of_the_program_is_not_hidden(monkeypatch):
    def wrong(words):
        raise RuntimeError("a mistake")

    monkeypatch.setattr("latentcore.commands.info.info", wrong)
    with pytest.raises(RuntimeError, match="a mistake"):
        call("info")


def test_names_in_an_error_are_one_line_of_text(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("report", "two\nlines \x1b[31m") == 1
    error = capsys.readouterr().err
    assert "\x1b" not in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "few-label"], 1, "error: DATA: expected a file, a folder, or one of mnist, digits"),
        (["train", "few-label", "nowhere"], 1, "error: DATA: expected a file, a folder, or one of mnist, digits"),
        (["train", "few-label", "digits", "--epochs", "0"], 1, "epochs: expected a number in [1, inf], got 0"),
        (["train", "few-label", "digits", "--epoch", "3"], 2, "unknown: --epoch 3; did you mean --epochs?"),
        (["demo", "--seed", "-1"], 2, "expected a number in [0, 2^31), got -1"),
        (["train", "few-label", "--run-dir", ""], 2, "expected a folder, got an empty name"),
        (["evaluate", "nowhere"], 1, "error: [Errno 2] No such file or directory"),
        (["data", "fetch", "cifar"], 2, "invalid choice: 'cifar'"),
        (["report", "nowhere"], 1, "error: nowhere: expected a run folder, found none"),
        (["nonsense"], 2, "unknown command 'nonsense'"),
    ],
)
def test_bad_input_is_one_line_and_a_code(tmp_path, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    try:
        found = main(arguments)
    except SystemExit as stopped:  # as argparse ends
        found = stopped.code
    assert found == code
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert code == 2 or len(printed.splitlines()) == 1
    assert not list(tmp_path.iterdir())
