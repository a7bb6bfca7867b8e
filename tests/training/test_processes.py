"""Two processes of torchrun train what one trains."""

import csv
import dataclasses
import math
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from children import run_child
from latentcore import load_run, resume, train
from latentcore.data.egamma.simulator import write
from latentcore.models import ResNetConfig
from latentcore.systems.egamma.config import EgammaConfig, EventsConfig
from latentcore.training import Augmentation, TrainConfig
from latentcore.training.checkpoint import State
from latentcore.training.loop import _Loop
from latentcore.training.processes import SharedBatchNorm

EPOCHS = 8
# one step in each epoch, so that every step's loss is a row of metrics.csv
CONFIG = EgammaConfig(
    ResNetConfig(image_shape=(2, 32, 32), classes=2, width=1 / 16),
    TrainConfig(
        epochs=EPOCHS,
        batch_size=40,
        learning_rate=5e-3,
        ema=0.9,
        precision="64-true",
        augmentation=Augmentation(mirror="xy", center=(15.0, 15.0)),
        validation=0.2,
    ),
    EventsConfig(test=0.4, storage="resident"),
)
RUNS = {
    "resident": CONFIG,
    "streamed": dataclasses.replace(CONFIG, events=dataclasses.replace(CONFIG.events, storage="streamed")),
    "accumulated": dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, accumulate=2, epochs=5)),
}

# three steps in each epoch, a checkpoint after two of them, and a validation that two processes cannot share evenly
STEPS = dataclasses.replace(
    CONFIG,
    train=dataclasses.replace(CONFIG.train, epochs=2, batch_size=12, checkpoint_every=2, validation=0.22),
    events=dataclasses.replace(CONFIG.events, storage="streamed"),
)

SCRIPT = """
import os, sys
sys.path[:0] = [sys.argv[2], os.path.dirname(sys.argv[2])]
import test_processes
test_processes.train_all(sys.argv[1])
"""


def train_all(folder):
    """What each of two processes does; the last run is interrupted in the middle of its second epoch, and goes on."""
    events = Path(folder) / "events.h5"
    for name, config in RUNS.items():
        train("egamma", events, config=config, run_dir=Path(folder) / name)
    save, calls = State.save, []

    def interrupted(self, *place):
        save(self, *place)
        calls.append(self.step)
        if calls == [2, 0, 2]:
            raise InterruptedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "save", interrupted)
        patch.setattr(_Loop, "save", broadcast(_Loop.save))
        with pytest.raises(InterruptedError):
            train("egamma", events, config=STEPS, run_dir=Path(folder) / "interrupted")
    resume(Path(folder) / "interrupted")


def broadcast(save):
    """All processes fail where the first one does."""

    def everywhere(self):
        failed = False
        try:
            save(self)
        except InterruptedError:
            failed = True
        if self.fabric.broadcast(failed):
            raise InterruptedError

    return everywhere


@pytest.fixture(scope="module")
def folder(once):
    """Runs that two processes have trained."""
    return once("processes", train_by_two)


def train_by_two(folder):
    write(folder / "events.h5", 100, seed=3)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    (folder / "script.py").write_text(SCRIPT)
    arguments = [str(folder / "script.py"), str(folder), str(Path(__file__).parent)]
    done = run_child([*command, *arguments])
    assert done.returncode == 0, done.stderr[-3000:]


def rows(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.long
@pytest.mark.parametrize("name", ["resident", "streamed"])
def test_two_processes_have_the_losses_of_one(folder, tmp_path, name):
    train("egamma", folder / "events.h5", config=RUNS[name], run_dir=tmp_path / "alone")
    alone, together = rows(tmp_path / "alone"), rows(folder / name)
    assert len(alone) == len(together) == EPOCHS
    for column in ("loss", "validation_loss", "auc"):
        expected = [float(row[column]) for row in alone]
        assert [float(row[column]) for row in together] == pytest.approx(expected, rel=1e-5)
    assert float(alone[-1]["loss"]) < 0.8 * float(alone[0]["loss"])
    one, two = (
        torch.load(run / "checkpoints/model.pth", weights_only=True) for run in (tmp_path / "alone", folder / name)
    )
    assert one.keys() == two.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-7)


@pytest.mark.long
def test_an_interrupted_run_of_two_processes_has_the_losses_of_one(folder, tmp_path):
    train("egamma", folder / "events.h5", config=STEPS, run_dir=tmp_path / "alone")
    alone, together = rows(tmp_path / "alone"), rows(folder / "interrupted")
    for column in ("loss", "auc", "accuracy", "validation_loss", "validation_auc"):
        expected = [float(row[column]) for row in alone]
        assert [float(row[column]) for row in together] == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_parts_of_a_batch_add_up_in_every_process(folder, tmp_path):
    """Batch normalisation sees parts: those of two processes are as large as the halves of one."""
    assert all(0 < float(row["loss"]) < 2 for row in rows(folder / "accumulated"))
    assert load_run(folder / "accumulated").metrics["parameters"] > 0


@pytest.mark.long
def test_a_run_of_two_processes_is_one_run(folder, tmp_path):
    run = load_run(folder / "resident")
    assert run.metrics.keys() >= {"seconds", "events_per_second", "auc"}
    assert len(list((folder / "resident" / "tensorboard").glob("events.out.tfevents.*"))) == 1
    shutil.copytree(folder / "resident", tmp_path / "resident")
    resume(tmp_path / "resident", folder / "events.h5")  # by one process: there is nothing left to do


@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm2d, (2, 3, 4, 4)), (nn.BatchNorm1d, (8, 3))])
def test_shared_normalisation_of_one_process_is_torchs(tmp_path, kind, shape):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        plain = kind(3).double()
        nn.init.uniform_(plain.weight)
        shared = SharedBatchNorm.like(plain).double()
        results = []
        for layer in (plain, shared):
            maps = torch.linspace(-1, 2, math.prod(shape), dtype=torch.float64).view(shape).square().requires_grad_()
            out = layer(maps)
            (out * torch.linspace(0, 1, out.numel(), dtype=torch.float64).view_as(out)).sum().backward()
            results.append([out, maps.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var])
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(plain.eval()(maps), shared.eval()(maps))
        assert shared.num_batches_tracked == 1
    finally:
        torch.distributed.destroy_process_group()
