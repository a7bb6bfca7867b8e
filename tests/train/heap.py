"""A training whose heap is disturbed, and by how much its process grows.

python heap.py PRESET BATCH STEPS FOLDER ["as it is"]
"""

import dataclasses
import sys
from contextlib import suppress
from pathlib import Path

import first_steps
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latentcore._memory import FreedMemory
from latentcore.testing import peak_memory_mb
from latentcore.train.optimizer import LeanAdamW

WARM_UP = 50  # steps
EVERY = 23  # operators; a number that steps do not repeat


class SmallBlocks(TorchDispatchMode):
    """Keeps a block of some bytes now and then, as what writes a log does."""

    def __init__(self):
        super().__init__()
        self.kept, self.calls = [], 0

    def __torch_dispatch__(self, function, types, arguments=(), words=None):
        self.calls += 1
        if self.calls % EVERY == 0:
            self.kept.append(torch.ones(3))
        return function(*arguments, **words or {})


class EnoughError(Exception):
    """Raised by the last step that is wanted."""


def growth(name, batch, steps, folder):
    """MB by which a process grows that trains a preset, after some steps in which it takes what it needs."""
    first_steps.EXAMPLES = 4 * batch
    done, step = [0, 0.0], LeanAdamW.step

    def counted(optimizer):
        done[0] += 1
        if done[0] == WARM_UP:
            done[1] = peak_memory_mb()
        if done[0] == steps:
            raise EnoughError
        return step(optimizer)

    LeanAdamW.step = counted
    train, config = first_steps.TRAININGS[name]
    shorter = {
        field: dataclasses.replace(part, device="cpu", epochs=steps, early_stop=0, batch_size=batch)
        for field in ("train", "vae_train")
        if (part := getattr(config, field, None)) is not None
    }
    with SmallBlocks(), suppress(EnoughError):
        train(dataclasses.replace(config, **shorter), folder)
    assert done[0] == steps
    return peak_memory_mb() - done[1]


if __name__ == "__main__":
    name, batch, steps, folder, *how = sys.argv[1:]
    if how:  # to see how much that would be without it
        FreedMemory.round = lambda self: None
    torch.set_num_threads(1)
    print(growth(name, int(batch), int(steps), Path(folder) / "run"))
