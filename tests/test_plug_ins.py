"""What docs/plug-ins.md says: its package is installed from its folder, without a network, and used elsewhere."""

import dataclasses
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest
import torch

from children import run_child
from killed import endings
from latentcore import resume, systems, train
from latentcore.cli import main
from latentcore.training.sources import Images
from latentcore.training.system import Command
from recipes import DOCS, Recipe

PAGE = Recipe("plug-ins.md")
PYTHON = re.compile(r"^## Using it.*^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = """
from latentcore.cli import main
for words in {commands!r}:
    print("$", *words, flush=True)
    try:
        assert main(words) == {status}, words
    except SystemExit as stopped:
        assert stopped.code == {status}, words
"""
# of a package that cannot be imported, and of one with names of ours
BROKEN = {
    "broken.py": 'raise RuntimeError("not today,\\nnor tomorrow")\n',
    "broken-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: broken\nVersion: 1\n",
    "broken-1.dist-info/entry_points.txt": (
        "[latentcore.systems]\nbroken = broken:SYSTEM\nautoencoder = broken:SYSTEM\nshadow = sharp_latents:SYSTEM\n"
        "[latentcore.datasets]\nbroken = broken:DATASET\nmnist = broken:DATASET\n"
    ),
}


@pytest.fixture(scope="module")
def package(once):
    """The folder that the page's package is installed in."""
    return once("plug-in", installed) / "installed"


def installed(folder):
    PAGE.follow(folder / "sharp-latents")
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--quiet"]
    alone = ["--no-index", "--no-build-isolation", "--no-deps", "--target", str(folder / "installed")]
    done = run_child([*pip, *alone, str(folder / "sharp-latents")])
    assert done.returncode == 0, done.stderr


@pytest.fixture
def there(package, tmp_path, monkeypatch):
    """An empty folder to work in; processes that begin now have the package."""
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(code):
    return run_child([sys.executable, "-W", "error", "-c", code])


def called(*commands, status=0):
    done = python(COMMANDS.format(commands=commands, status=status))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, done.stderr


def test_its_commands_work(there):
    printed, _ = called(*PAGE.commands)
    assert "\n  linear       an autoencoder of two linear maps\n" in printed.split("$ train --help")[1]
    assert json.loads((there / "my.json").read_text())["latent"] == 8
    assert "330 images of a bright stripe" in printed
    assert "300 to learn from, 30 to judge by" in printed
    assert printed.count("mse") >= 4
    assert (there / "runs/linear/pictures/reconstructions.png").exists()
    assert "linear.html: 2 runs" in printed
    done = python(PYTHON.search((DOCS / "plug-ins.md").read_text()).group(1))
    assert done.returncode == 0, done.stderr[-3000:]
    assert "torch.Size([3, 8])" in done.stdout


def test_a_value_out_of_range_is_answered_with_a_line(there):
    _, errors = called(["train", "linear", "stripes", "--set", "latent=0", "--run-dir", "run"], status=1)
    assert errors == "error: LinearConfig.latent: expected a number from 1 up, got 0\n"
    assert not (there / "run").exists()


def go_on(folder, until):
    """Train in a folder, or go on there, until a batch at which the process is killed; 0: to the end."""
    torch.set_num_threads(1)
    drawn, batch = 0, Images.batch

    def counted(self, rows, draws):
        nonlocal drawn
        drawn += 1
        if drawn == int(until):
            os.kill(os.getpid(), signal.SIGKILL)
        return batch(self, rows, draws)

    Images.batch = counted
    if Path(folder).exists():
        resume(folder)
    else:
        train("linear", "stripes", run_dir=folder)


def test_a_killed_training_ends_with_the_bits_of_an_undisturbed_one(there):
    codes, errors = endings(go_on, ("one", 0), ("two", 4), ("two", 0))  # the second epoch of two batches
    assert codes == [0, -signal.SIGKILL, 0], errors
    one, two = (torch.load(there / name / "checkpoints/model.pth", weights_only=True) for name in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def broken(there, monkeypatch):
    """The same with a package that cannot be imported, declares names of ours, and a system under another name."""
    for name, content in BROKEN.items():
        path = there / "elsewhere" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(there / "elsewhere"), os.environ["PYTHONPATH"]]))


def test_a_broken_package_costs_a_line(there, broken):
    printed, _ = called(["--help"], ["train", "--help"], ["data", "sets"], ["train", "autoencoder", "--help"])
    _, help_, of_train, of_data, of_ours = re.split(r"^\$ .*$", printed, flags=re.MULTILINE)
    why = r"which cannot be imported \(RuntimeError: not today, nor tomorrow\)"
    assert re.findall(r"^left out: .*$", help_, re.MULTILINE) == [
        "left out: the system broken, which cannot be imported (RuntimeError: not today, nor tomorrow)",
        "left out: the system shadow, which cannot be imported (ValueError: shadow = 'sharp_latents:SYSTEM', an entry "
        "point of latentcore.systems: expected one that is called 'shadow', got one called 'linear')",
    ]
    assert len(re.findall(rf"^left out: broken, {why}$", of_train, re.MULTILINE)) == 1
    assert len(re.findall(rf"^left out: broken, {why}$", of_data, re.MULTILINE)) == 1
    assert "  linear  " in of_train  # beside it
    assert "An autoencoder or a VAE of images" in of_ours
    assert "70,000 handwritten digits" in of_data


def test_a_broken_package_breaks_nothing_else(there, broken):
    called(["train", "autoencoder", "stripes", "--epochs", "1", "--run-dir", "run"])
    _, errors = called(["train", "broken", "stripes"], ["data", "inspect", "broken"], status=1)
    assert errors.splitlines() == [
        f"error: broken = 'broken:{kind}', an entry point of latentcore.{group}: expected one that can be imported, "
        "got RuntimeError: not today, nor tomorrow"
        for kind, group in (("SYSTEM", "systems"), ("DATASET", "datasets"))
    ]


def test_commands_of_ours_win(monkeypatch, capsys):
    ours, _ = systems.catalogue.available()
    command = Command("theirs", lambda words, load_run: print("theirs"))
    commands = dict.fromkeys(("compare", "more", "info"), command)
    theirs = dataclasses.replace(systems.find("gan"), name="theirs", commands=commands)
    monkeypatch.setattr(systems.catalogue, "available", lambda: ([*ours, theirs], {}))
    assert main(["more"]) == 0
    assert capsys.readouterr().out == "theirs\n"
    for name in ("compare", "info"):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert capsys.readouterr().out.startswith(f"usage: latentcore {name}")


def test_a_run_without_its_package_says_which_system_is_missing(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"system": "linear", "format": 2}')
    assert main(["evaluate", str(tmp_path)]) == 1
    assert re.search(r"config\.json: system: expected one of autoencoder, .*, got 'linear'$", capsys.readouterr().err)
