"""Epochs over events that do not fit the memory, in an order that is a function of (seed, epoch)."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors
from latentcore.data.egamma.blocks import (
    Block,
    Reader,
    blocks_of,
    picked,
    rows_of_block,
    slots_for,
    windows_in_memory,
    within,
)
from latentcore.data.egamma.format import ELECTRON, EventFile, check_finite

# shapes: B events of a batch, C channels, H rows and W columns of cells

_SHARE = 0.8  # of the memory is for events as they lie there; the rest for packed chunks and batches


class Events(NamedTuple):
    """Some events.

    Attributes:
        images: (B, C, H, W).
        labels: (B,), int64: 0 photon, 1 electron.
        rows: (B,), int64: where they lie, counted over all files.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor


@dataclass(frozen=True, eq=False)
class EventStream:
    """Batches read from the files anew in every epoch; `EgammaFiles.stream` makes it.

    Blocks of rows, which are whole chunks, come in an order drawn for each epoch, electrons' and photons' in turns
    where they lie apart. Each is unpacked once. Rows are mixed within a window of several blocks. While a window is
    used, threads unpack blocks of the next one, as far as the memory allows.

    Attributes:
        files: Where the events lie.
        rows: Those that are read, sorted.
        labels: (N,), uint8, of all events.
        batch_size: B; the last batch of an epoch may be smaller.
        seed: Of the order.
        window: Events that are mixed, rounded down to whole blocks, two at least.
        memory_mb: About how much may be held, in MB; never less than a window.
        shuffle: Whether there is any mixing; else rows come in their order.
    """

    files: Sequence[EventFile]
    rows: np.ndarray
    labels: np.ndarray
    batch_size: int
    seed: int
    window: int
    memory_mb: float
    shuffle: bool

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Generator[Events, None, None]:
        """The batches of one epoch.

        Args:
            epoch: Its number, any int >= 0.
            start: The first batch, from which on they are those of the whole epoch; what lies in windows before is
                not read.

        Raises:
            ValueError: A number is outside its range; while it is read: a file is damaged, or holds NaN or infinity.

        Example:
            >>> import numpy as np, h5py
            >>> from latentcore.data.egamma import EgammaFiles
            >>> with h5py.File("events.h5", "w") as file:
            ...     file["X"], file["y"] = np.zeros((10, 8, 8, 2), "f4"), np.arange(10) % 2
            >>> stream = EgammaFiles("events.h5").stream(batch_size=4)
            >>> [len(batch.labels) for batch in stream.epoch(0)]
            [4, 4, 2]
            >>> [len(batch.labels) for batch in stream.epoch(0, start=2)]
            [2]
        """
        _errors.integer("epoch", epoch, 0, 2**63 - 1)
        _errors.integer("start", start, 0, len(self))
        return self._batches(int(epoch), int(start) * self.batch_size)

    def _batches(self, epoch: int, skip: int) -> Generator[Events, None, None]:
        """The batches after so many rows."""
        windows = self._windows(epoch)
        counts = [sum(len(within(self.rows, block)) for block in window) for window in windows]
        before = [0, *accumulate(counts)]
        first = next((i for i in range(len(windows)) if before[i + 1] > skip), len(windows))
        if first == len(windows):
            return
        begin, kept = skip - before[first], list[Events]()
        size = self._slots(max(map(len, windows)))
        memory = slots_for(self.files, min(size, sum(map(len, windows[first:]))))
        with Reader(self.files) as reader, closing(windows_in_memory(reader, windows[first:], memory)) as reading:
            for number, (window, slots) in enumerate(reading, first):
                rows, places = self._mixed(window, slots, memory.shape[1], epoch, number)
                while begin < len(rows):
                    # of a batch that began in the window before, the rest
                    end = begin + self.batch_size - sum(len(part.rows) for part in kept)
                    kept.append(self._taken(memory, rows[begin:end], places[begin:end]))
                    if end <= len(rows):
                        yield _joined(kept)
                        kept = []
                    begin = end
                begin = 0
        if kept:
            yield _joined(kept)

    def _windows(self, epoch: int) -> list[list[Block]]:
        """Which blocks are in memory together."""
        blocks = [block for block in blocks_of(self.files) if len(within(self.rows, block))]
        if not self.shuffle:
            return [[block] for block in blocks]
        found = _in_turns([blocks[i] for i in self._random(epoch).permutation(len(blocks))], self.labels)
        size = self._blocks_of_window()
        return [found[i : i + size] for i in range(0, len(found), size)]

    def _mixed(
        self, window: Sequence[Block], slots: Sequence[int], height: int, epoch: int, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows of a window in their order, and their places in the memory."""
        own = [within(self.rows, block) for block in window]
        shifts = [slot * height - block.offset for block, slot in zip(window, slots, strict=True)]
        rows = np.concatenate(own)
        places = np.concatenate([r + shift for r, shift in zip(own, shifts, strict=True)])
        if not self.shuffle:
            return rows, places
        order = self._random(epoch, 1 + number).permutation(len(rows))
        return rows[order], places[order]

    def _taken(self, memory: Tensor, rows: np.ndarray, places: np.ndarray) -> Events:
        images = picked(memory, torch.from_numpy(places))
        check_finite(images, rows, self.files)
        return Events(images, torch.from_numpy(self.labels[rows].astype(np.int64)), torch.from_numpy(rows))

    def _blocks_of_window(self) -> int:
        return max(2, self.window // max(map(rows_of_block, self.files)))

    def _slots(self, window: int) -> int:
        """How many blocks are held: those of a window, and of the next one as many as the memory allows."""
        size = 4 * max(map(rows_of_block, self.files)) * int(np.prod(self.files[0].shape[1:]))
        return int(min(max(_SHARE * self.memory_mb * 2**20 // size, window), 2 * window))

    def _random(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *numbers])


def _in_turns(blocks: list[Block], labels: np.ndarray) -> list[Block]:
    """The blocks with more electrons than most and those with fewer, evenly mixed, each in their order."""
    share = [np.mean(labels[b.offset : b.offset + b.end - b.begin] == ELECTRON) for b in blocks]
    middle = np.mean(share)
    groups = [[b for b, s in zip(blocks, share, strict=True) if (s > middle) == more] for more in (False, True)]
    placed = [((i + 0.5) / len(group), b) for group in groups for i, b in enumerate(group)]
    return [b for _, b in sorted(placed, key=lambda pair: pair[0])]


def _joined(parts: Sequence[Events]) -> Events:
    return parts[0] if len(parts) == 1 else Events(*map(torch.cat, zip(*parts, strict=True)))
