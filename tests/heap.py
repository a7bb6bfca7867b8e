"""Work whose heap is disturbed, and by how much its process grows.

python heap.py WORK FOLDER SIZE ROUNDS ["as it is"]
"""

import dataclasses
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import first_steps
import h5py
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latentcore import GaussianMixture
from latentcore._memory import FreedMemory
from latentcore.data.egamma import EgammaFiles
from latentcore.testing import peak_memory_mb
from latentcore.training.optimizer import LeanAdamW

WARM_UP = 50  # rounds, in which it takes what it needs
EVERY = 23  # operators; a number that rounds do not repeat


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


def training(name, folder, batch, steps):
    """Of a preset, with batches of some images."""
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
    with suppress(EnoughError):
        train(dataclasses.replace(config, **shorter), folder / "run")
    assert done[0] == steps
    return done[1]


def fit(folder, size, iterations, *, pieces=1, gaps=0.0):
    """Of a mixture, from so many samples."""
    x = torch.randn(size, 8)
    x[torch.rand(x.shape) < gaps] = torch.nan
    words = {"tol": 0.0, "random_state": 0, "init_size": min(size, 2000), "missing": "marginalize" if gaps else "error"}
    for count in (WARM_UP, iterations):
        before = peak_memory_mb()
        GaussianMixture(16, max_iter=count, **words).fit(list(x.chunk(pieces)) if pieces > 1 else x)
    return before


def events(folder, size, epochs):
    """Read again and again."""
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("X", data=torch.rand(size, 32, 32, 2).numpy(), chunks=(100, 32, 32, 2), compression="lzf")
        file["y"] = torch.arange(size).numpy() % 2
    stream = EgammaFiles(folder / "a.h5").stream(batch_size=100, window=200)
    for count in (WARM_UP, epochs):
        before = peak_memory_mb()
        for epoch in range(count):
            for batch in stream.epoch(epoch):
                batch.images.sqrt_().sum()
    return before


WORK = {
    "fit": fit,
    "fit, a stream": lambda *sizes: fit(*sizes, pieces=4),
    "fit, missing values": lambda *sizes: fit(*sizes, gaps=0.3),
    "events": events,
}

if __name__ == "__main__":
    name, folder, *sizes = sys.argv[1:5]
    if sys.argv[5:]:  # to see how much that would be without it
        FreedMemory.round = lambda self: None
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with SmallBlocks():
        work = WORK.get(name) or (lambda *words: training(name, *words))
        before = work(Path(folder), *map(int, sizes))
    print(peak_memory_mb() - before)
