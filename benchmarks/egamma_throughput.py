"""Training of a full ResNet-15 against a plain loop, side by side.

usage: python -m benchmarks.egamma_throughput

Simulated events, 32×32 cells in 2 channels, lie in memory; batches have 64. One side is
`latentcore.training.loop.minimise` with precision and memory format of the preset "egamma"; the other a plain loop:
float32, AdamW, nothing else. Both begin with the same weights, at the same constant rate, and see the same batches.
Turns alternate; the ratio is that of the median seconds of their steps. The loss curves' difference is the mean over
the steps of that of their means over the turns, in standard errors of the plain side's.
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore.data.egamma.simulator import simulate
from latentcore.models import ResNet15
from latentcore.models.objectives import CrossEntropy
from latentcore.systems.egamma.config import PRESETS
from latentcore.systems.egamma.sources import StoredEvents
from latentcore.terminal.tables import show
from latentcore.training import TrainConfig, create_run
from latentcore.training.config import Augmentation
from latentcore.training.loop import minimise
from latentcore.training.plan import Plan

BATCH, STEPS, TURNS = 64, 16, 6
EGAMMA = PRESETS["egamma"]
NETWORK = replace(EGAMMA.resnet, dropout=0.0)  # whose draws would differ
PLAIN = TrainConfig(epochs=1, batch_size=BATCH, learning_rate=1e-3)
FAST = replace(PLAIN, precision=EGAMMA.train.precision, channels_last=EGAMMA.train.channels_last)


def main() -> None:
    """Measure and print."""
    show("training of a ResNet-15", {name: f"{value:.4g}" for name, value in measured().items()})


def measured() -> dict[str, float]:
    """Ratio of the speeds, events per second of both sides, and how far the losses are apart."""
    images, labels = simulate(BATCH * STEPS)
    source = StoredEvents(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous() * 20, torch.from_numpy(labels).long(), Augmentation()
    )
    seconds: dict[str, list[float]] = {"fast": [], "plain": []}
    losses: dict[str, list[list[float]]] = {"fast": [], "plain": []}
    for turn in range(TURNS + 1):
        for name, side in (("fast", _fast), ("plain", _plain)):
            spent, curve = side(source, turn)
            if turn:  # the first one warms up
                seconds[name].append(spent)
                losses[name].append(curve)
    fast, plain = (statistics.median(seconds[name]) for name in ("fast", "plain"))
    return {
        "throughput_ratio": plain / fast,
        "events_per_second": BATCH * STEPS / fast,
        "plain_events_per_second": BATCH * STEPS / plain,
        "loss_difference": _difference(*(torch.tensor(losses[name]) for name in ("fast", "plain"))),
    }


def _difference(fast: Tensor, plain: Tensor) -> float:
    """How far two mean curves (TURNS, STEPS) are apart, in standard errors of the second, mean over the steps."""
    error = plain.std(0) / len(plain) ** 0.5
    return float(((fast.mean(0) - plain.mean(0)).abs() / error).mean())


class _Remembered(CrossEntropy):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> tuple[Tensor, Tensor]:
        terms = super().__call__(model, batch, beta=beta, seed=seed)
        self.losses.append(float(terms[0].detach()))
        return terms


def _model(seed: int) -> ResNet15:
    torch.manual_seed(seed)
    return ResNet15(NETWORK)


def _fast(source: StoredEvents, seed: int) -> tuple[float, list[float]]:
    """Seconds of an epoch's steps, and the loss of each."""
    objective = _Remembered()
    with tempfile.TemporaryDirectory() as folder:
        run = create_run("throughput", {}, Path(folder) / "run")
        (row,) = minimise(_model(seed), objective, source, replace(FAST, seed=seed), run)
    return row["seconds"], objective.losses


def _plain(source: StoredEvents, seed: int) -> tuple[float, list[float]]:
    model = _model(seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), PLAIN.learning_rate, weight_decay=PLAIN.weight_decay)
    order: Tensor = Plan(replace(PLAIN, seed=seed), source).inputs(0).rows
    losses = []
    began = time.perf_counter()
    for rows in order:
        loss = F.cross_entropy(model(source.images[rows]), source.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return time.perf_counter() - began, losses


if __name__ == "__main__":
    main()
