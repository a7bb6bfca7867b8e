"""Training batches of rotated digits, made as tensors, against images rotated one by one in a DataLoader.

usage: python -m benchmarks.batches [--turns N] [--json FILE]

A batch is 512 images of 28×28 out of 60,000, each turned by an angle of its own, as float32 in [0, 1]: with the images
as they were, or without. The other side is torch's DataLoader with two workers that stay alive, over a dataset that
turns one image at a time with Pillow, as notebooks do with torchvision's transforms; its time is that of a batch when
all of them are waited for, after the first ones. Turns alternate; the figures are medians. The last row is a training
step of the preset "rotation" and the part of it that makes the batch of pairs. As in a process that trains, a larger
tensor has been freed before, after which glibc keeps the memory of freed batches instead of asking the system for it.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.quality.figures import machine
from latentcore._files import write_json
from latentcore.data import ImageSet, TransformedImages, mnist
from latentcore.models import VAE, TransformingVAE, build_operator
from latentcore.ops import rotate
from latentcore.systems.rotation.config import PRESETS
from latentcore.systems.rotation.objective import TransformationLoss
from latentcore.systems.rotation.pairs import Pairs, transformable
from latentcore.terminal.tables import show
from latentcore.training.gradients import Gradients
from latentcore.training.plan import Plan
from latentcore.training.processes import precision_of

_IMAGES, _BATCH, _WORKERS = 60_000, 512, 2
_SKIPPED = 2 * _WORKERS + 1  # the batches that workers fetch ahead, and the one they start with
_TIMED = 30
_FREED = 30_000_000  # bytes; glibc learns from blocks up to 32 MB


class OneByOne(Dataset[tuple[Tensor, ...]]):
    """Images turned by Pillow when they are asked for, with the original or without."""

    def __init__(self, images: ImageSet, original: bool) -> None:
        self.images = images.images[:, 0].numpy()
        self.original = original

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        angle = float(torch.rand(())) * 360
        picture = Image.fromarray(self.images[index])
        turned = picture.rotate(angle, resample=Image.Resampling.BILINEAR)
        shown = (picture, turned) if self.original else (turned,)
        return *map(to_tensor, shown), torch.tensor(angle / 360)


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as float32 in [0, 1], (1, H, W), by the steps of torchvision's `ToTensor`."""
    pixels = torch.from_numpy(np.array(picture, copy=True)).view(picture.height, picture.width, 1)
    return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.empty(_FREED, dtype=torch.uint8)
    digits = mnist.embedded("train").images
    images = ImageSet(digits.repeat(_IMAGES // len(digits), 1, 1, 1))
    rows = [measured(images, original, arguments.turns) for original in (True, False)]
    show("a batch of 512", {row["batch"]: words(row) for row in rows})
    step = training_step(images)
    share = f"{step['batch_ms']:.2f} ms of {step['step_ms']:.1f} ms: {step['share']:.1%}"
    show("a training step of 256 pairs", {"making the batch": share})
    if arguments.json is not None:
        result = {"machine": machine(), "rows": rows, "training_step": step}
        write_json(arguments.json, result)


def words(row: dict[str, Any]) -> str:
    """A row for people."""
    return f"{row['batch_ms']:6.2f} ms, one by one in workers {row['one_by_one_ms']:6.2f} ms: {row['ratio']:.0f}×"


def measured(images: ImageSet, original: bool, turns: int) -> dict[str, Any]:
    """One row."""
    pairs = TransformedImages(images, angles=None)
    make = whole(pairs) if original else turned_only(pairs)
    one_by_one = OneByOne(images, original)
    sampler = RandomSampler(one_by_one, replacement=True, num_samples=(_SKIPPED + _TIMED) * _BATCH)
    loader = DataLoader(one_by_one, _BATCH, sampler=sampler, num_workers=_WORKERS, persistent_workers=True)
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(milliseconds(make() for _ in range(_SKIPPED + _TIMED)))
        theirs.append(milliseconds(iter(loader)))  # to the end, so that the workers rest while ours is measured
    batch, other = statistics.median(ours), statistics.median(theirs)
    return {
        "batch": "image and rotated image" if original else "rotated image only",
        "batch_ms": batch,
        "one_by_one_ms": other,
        "ratio": other / batch,
        "batch_ms_of_turns": ours,
        "one_by_one_ms_of_turns": theirs,
    }


def training_step(images: ImageSet) -> dict[str, float]:
    """Medians of a whole step and of making its batch."""
    config = PRESETS["rotation"]
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision_of(config.train))
    model = TransformingVAE(VAE(config.vae), build_operator(config.operator, config.vae.latent))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    plan = Plan(config.train, Pairs(transformable(images, config.pairs), config.pairs))
    gradients = Gradients(fabric, fabric.setup(model), model, TransformationLoss(config.loss), plan)
    gradients.begin(0)
    inputs, batches, steps = plan.inputs(0), [], []
    for step in range(_SKIPPED + _TIMED):
        now = inputs.at(torch.tensor([step]))
        began = time.perf_counter()
        plan.source.batch(now.rows, now.draws)
        between = time.perf_counter()
        gradients()
        optimizer.step()
        batches.append((between - began) * 1e3)
        steps.append((time.perf_counter() - between) * 1e3)
    batch, step_ms = (statistics.median(times[_SKIPPED:]) for times in (batches, steps))
    return {"batch_ms": batch, "step_ms": step_ms, "share": batch / step_ms}


def whole(pairs: TransformedImages) -> Callable[[], object]:
    """Images, rotated images and angles of places drawn at random."""
    return lambda: pairs.batch(torch.randint(len(pairs), (_BATCH,)))


def turned_only(pairs: TransformedImages) -> Callable[[], object]:
    """Rotated images and angles of places drawn at random."""

    def make() -> tuple[Tensor, Tensor]:
        images = pairs.images.index_select(0, torch.randint(len(pairs), (_BATCH,)))
        angles = 360 * torch.rand(_BATCH)
        return rotate(images, angles, dtype=torch.float32), angles

    return make


def milliseconds(batches: Iterator[object]) -> float:
    """Of a batch, after the first ones."""
    for _ in range(_SKIPPED):
        next(batches)
    began = time.perf_counter()
    count = sum(1 for _ in batches)
    return (time.perf_counter() - began) / count * 1e3


if __name__ == "__main__":
    main()
