import csv
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from rotations import FROZEN, bars, trained
from torch.nn.modules.module import register_module_forward_hook

from killed import endings
from latentcore import resume
from latentcore.models import VAE, TransformingVAE


@pytest.fixture
def images():
    return bars()


def tensors(value, name=""):
    if isinstance(value, torch.Tensor):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else ()
    return {place: found for key, inner in pairs for place, found in tensors(inner, f"{name}.{key}").items()}


def assert_same_end(folder, other):
    for part in ("", "vae"):
        one, two = (
            tensors(torch.load(run / part / "checkpoints" / "last.pth", weights_only=True)) for run in (folder, other)
        )
        assert one.keys() == two.keys()
        assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.fixture(scope="module")
def undisturbed(once):
    return once("undisturbed-rotation", lambda folder: trained(bars(), FROZEN, folder / "run")) / "run"


class After:
    """Calls a function in a forward pass of a kind of model, the one with this number."""

    def __init__(self, kind, passes, function):
        self.kind, self.left, self.function = kind, passes, function

    def __call__(self, module, inputs, outputs):
        self.left -= type(module) is self.kind
        if not self.left and type(module) is self.kind:
            self.function()


# of 6 steps an epoch: before the first checkpoint, in the first training, and in the second one
INTERRUPTIONS = [(VAE, 2), (VAE, 16), (TransformingVAE, 3), (TransformingVAE, 15)]


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("kind", "passes"), INTERRUPTIONS)
def test_a_run_goes_on_after_ctrl_c(tmp_path, images, undisturbed, kind, passes):
    handle = register_module_forward_hook(After(kind, passes, interrupt))
    first = (kind, passes) == INTERRUPTIONS[0]
    try:
        with pytest.raises(KeyboardInterrupt, match="before the first checkpoint" if first else "--resume .*run"):
            trained(images, FROZEN, tmp_path / "run")
    finally:
        handle.remove()
    assert not list((tmp_path / "run").rglob(".*"))
    run = resume(tmp_path / "run", images)
    assert_same_end(run.folder, undisturbed)
    with (run.folder / "metrics.csv").open() as file, (undisturbed / "metrics.csv").open() as expected:
        rows, wanted = ([row["loss"] for row in csv.DictReader(lines)] for lines in (file, expected))
    assert rows == wanted
    assert json.loads((run.folder / "metrics.json").read_text())["seconds"] > 0


def die(folder, number):
    """Train, or go on, until a forward pass that the process does not survive."""
    folder = Path(folder)
    register_module_forward_hook(After(*INTERRUPTIONS[int(number)], lambda: os.kill(os.getpid(), signal.SIGKILL)))
    if folder.exists():
        resume(folder, bars())
    else:
        trained(bars(), FROZEN, folder)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_a_killed_process_leaves_whole_checkpoints_to_resume_from(tmp_path, images):
    folder, undisturbed = tmp_path / "run", tmp_path / "undisturbed"
    trained(images, FROZEN, undisturbed)
    codes, said = endings(die, (folder, 1), (folder, 3))
    assert codes == [-signal.SIGKILL] * 2, said
    assert (folder / "metrics.csv").exists()
    resume(folder, images)
    assert_same_end(folder, undisturbed)
    # a finished run stays as it is
    before = (folder / "metrics.csv").read_text()
    resume(folder, images)
    assert (folder / "metrics.csv").read_text() == before
