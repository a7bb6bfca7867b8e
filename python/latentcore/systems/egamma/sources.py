"""Sources of calorimeter events: in the memory of the device, or read from their files step by step."""

import copy
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentcore.data.egamma import EgammaFiles, Events
from latentcore.training.config import Augmentation
from latentcore.training.sources import LabelledImages, augment

# shapes: N events, B events of a step of all processes, (C, H, W) one event


@dataclass(frozen=True)
class StoredEvents(LabelledImages):
    """Events in memory: batches are pairs (images, labels), images as in the files."""

    unit = "events"


class StreamedEvents:
    """Events that are read from their files anew in every epoch: batches are pairs (images, labels).

    The files decide the order, so rows are places within a step's batch. A step finds its batch in the same memory of
    the device as all others.

    Args:
        files: Where they lie.
        rows: Which of them, sorted. (N,).
        augmentation: Of the images.
        seed: Of the order.
        window: Events that are mixed.
        memory_mb: About how much memory of the host may hold events, in MB.
    """

    unit = "events"

    def __init__(
        self,
        files: EgammaFiles,
        rows: np.ndarray,
        augmentation: Augmentation | None = None,
        *,
        seed: int = 0,
        window: int = 10_000,
        memory_mb: float = 200.0,
    ) -> None:
        self.files, self.rows, self.augmentation = files, rows, augmentation or Augmentation()
        self.seed, self.window, self.memory_mb = seed, window, memory_mb
        self._device = torch.device("cpu")
        self._size, self._left = 1, 0
        self._batches: Generator[Events, None, None]
        self._images = self._labels = torch.empty(0)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""
        return self._device

    @property
    def numbers(self) -> int:
        """The augmentation's."""
        return self.augmentation.numbers

    def to(self, device: torch.device) -> "StreamedEvents":
        """The same events, for a device."""
        moved = copy.copy(self)
        moved._device = device
        return moved

    def strength(self, progress: float) -> float:
        """The augmentation's."""
        return self.augmentation.strength(progress)

    def order(self, random: np.random.Generator, steps: int, batch_size: int) -> Tensor:
        """The places of a batch, the same for every step."""
        return torch.arange(batch_size).expand(steps, batch_size)

    def begin(self, epoch: int | None, step: int, batch_size: int) -> None:
        """Start to read an epoch's batches; epoch None: all events in the order of the files."""
        shuffle = epoch is not None
        stream = self.files.stream(
            self.rows,
            batch_size=batch_size,
            seed=self.seed,
            window=self.window,
            memory_mb=self.memory_mb,
            shuffle=shuffle,
        )
        self._left = len(self.rows) // batch_size - step if shuffle else len(stream)
        self._batches, self._size = stream.epoch(epoch or 0, start=step), batch_size
        if self._device.type != "cpu" and len(self._images) != batch_size:
            self._images = torch.empty((batch_size, *self.files.shape), device=self._device)
            self._labels = torch.empty(batch_size, dtype=torch.int64, device=self._device)

    def advance(self) -> None:
        """Get the next batch."""
        batch = next(self._batches)
        self._left -= 1
        if self._left == 0:  # a smaller last batch is not asked for: its memory is free for others
            self._batches.close()
        if self._device.type == "cpu":
            self._images, self._labels = batch.images, batch.labels
            return
        for kept, new in ((self._images, batch.images), (self._labels, batch.labels)):
            kept[: len(new)].copy_(new.pin_memory(), non_blocking=True)

    def batch(self, rows: Tensor, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W), float32, and labels (B,); in the order of the files rows may count from the first."""
        places = rows % self._size
        return augment(self._images.index_select(0, places), self.augmentation, draws), self._labels[places]
