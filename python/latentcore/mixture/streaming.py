"""Samples that do not fit the memory: exact expectation maximisation in passes over a stream."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from latentcore import _checks
from latentcore.mixture import _arrays
from latentcore.mixture._shard import Shard, picked, places_of
from latentcore.mixture._source import Preparation, without_gaps
from latentcore.mixture._stream import Stream
from latentcore.mixture.distributed import Group
from latentcore.reference import MixtureParameters, MixtureStatistics

# shapes: (N, D) samples of this process, (n, D) a piece of them

DEFAULT_START = 2**18
"""Samples from which EM starts where the estimator does not say how many."""


@dataclass(frozen=True)
class Streamed:
    """Samples that every pass reads anew.

    Attributes:
        stream: The samples of this process.
        count: How many they are.
        drawn: Some of them, or all.
        weight: How often each counts, (N,), or None.
        labels: Class indices, -1 where unknown, (N,), or None.
        preparation: How they are made ready.
        bar: Shows how far a pass is.
    """

    stream: Stream
    count: int
    drawn: Shard
    weight: Tensor | None = None
    labels: Tensor | None = None
    preparation: Preparation = field(default_factory=Preparation)
    bar: "Bar | None" = None

    @property
    def group(self) -> Group:
        """The processes among which they are shared out."""
        return self.drawn.group

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return self.drawn.x.dtype

    @property
    def device(self) -> torch.device:
        """Of the samples."""
        return self.drawn.x.device

    @cached_property
    def total(self) -> float:
        """The sum of all processes' weights."""
        own = float(self.count) if self.weight is None else self.weight.double().sum()
        return float(self.drawn.sum(torch.as_tensor(own, dtype=torch.float64, device=self.device)))

    @property
    def some(self) -> Shard:
        """Not too many of the samples, without gaps."""
        return without_gaps(self.drawn, self.preparation.missing)

    def prepared(self, preparation: Preparation) -> "Streamed":
        """The same samples, made ready in another way."""
        return replace(self, preparation=preparation)

    def indexed(self, classes: Tensor) -> "Streamed":
        """With places among the classes for class numbers."""
        labels = None if self.labels is None else places_of(self.labels, classes)
        return replace(self, labels=labels, drawn=self.drawn.indexed(classes))

    def start(self, size: int | None, random: np.random.RandomState) -> tuple[Shard, bool]:
        """The samples that the first pass drew, and whether these are all."""
        left = torch.tensor(float(self.count - len(self.drawn)), device=self.device)
        return self.drawn, bool(self.drawn.sum(left) == 0)

    def shards(self) -> Iterator[Shard]:
        """One pass, piece by piece."""
        done = 0
        for x in checked_pieces(self.stream, like=self.drawn.x):
            rows = slice(done, done + len(x))
            done += len(x)
            yield Shard(x, picked(self.weight, rows), picked(self.labels, rows), self.group)
            if self.bar is not None:
                self.bar.show(done, self.count)
        if self.bar is not None:
            self.bar.end_pass()
        if done != self.count:
            _checks.fail_value("X", f"{self.count} samples in every pass", done)

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """One pass; summed over all processes."""
        total: list[Tensor] = []
        with self.group.agreeing():
            for shard in self.shards():
                # float64: the error of the sum does not grow with the number of pieces
                found = [v.double() for v in self.preparation(shard).statistics(parameters, covariance_type)]
                total = [a.add_(b) for a, b in zip(total, found, strict=True)] if total else found
        return MixtureStatistics(*self.group.sum(total))


class Draw:
    """Draws some of the samples of a stream while it passes, each with the same probability."""

    def __init__(self, size: int, random: np.random.RandomState) -> None:
        # the state itself is the seed: a fit of as many samples in memory draws the same numbers afterwards
        self._size, self._random = size, np.random.default_rng(random.get_state(legacy=False)["state"]["key"])
        self._keys, self._rows, self._limit = np.empty(0), np.empty(0, np.int64), np.inf
        self._x: list[Tensor] = []

    def add(self, x: Tensor, first: int) -> None:
        """Look at a piece whose first sample has the number `first`."""
        keys = self._random.random(len(x))
        if len(x) > self._size:
            self._limit = min(self._limit, np.partition(keys, self._size)[self._size])
        some = np.flatnonzero(keys < self._limit)
        self._keys, self._rows = np.append(self._keys, keys[some]), np.append(self._rows, first + some)
        # indexing copies: the piece will be overwritten
        self._x.append(x[torch.from_numpy(some).to(x.device)])
        if len(self._keys) > 2 * self._size:
            self._keep_least()

    def result(self) -> tuple[Tensor, np.ndarray]:
        """The drawn samples in their order, and their numbers."""
        self._keep_least()
        return self._x[0], self._rows

    def _keep_least(self) -> None:
        """Keep the samples of the least keys."""
        x = torch.cat(self._x)
        if len(self._keys) > self._size:
            least = np.sort(np.argpartition(self._keys, self._size)[: self._size])
            x = x[torch.from_numpy(least).to(x.device)]
            self._keys, self._rows = self._keys[least], self._rows[least]
            self._limit = self._keys.max()
        self._x = [x]


def checked_pieces(stream: Stream, *, like: Tensor | None = None) -> Iterator[Tensor]:
    """The pieces as float32 or float64, all with the features, dtype and device of the first one or of `like`."""
    for piece in stream.pieces():
        x = _arrays.floating(piece)
        features = None if like is None else like.shape[1]
        if x.dim() != 2 or x.shape[1] == 0 or features not in (None, x.shape[1]):
            _checks.fail_value("X", f"pieces of shape (n, {features or 'D'})", tuple(x.shape))
        like = x if like is None else like
        if len(x):
            yield x.to(like)


def survey(
    stream: Stream, *, missing: bool, size: int, random: np.random.RandomState, bar: "Bar | None" = None
) -> tuple[int, Tensor, np.ndarray]:
    """The first pass: the number of samples, all of them checked, and some of them with their numbers."""
    draw, done = Draw(size, random), 0
    for x in checked_pieces(stream):
        _arrays.check_values(x, missing=missing, first=done)
        draw.add(x, done)
        done += len(x)
        if bar is not None:
            bar.show(done, None)
    if bar is not None:
        bar.end_pass()
    if done == 0:
        _checks.fail_value("X", "at least one sample", "an empty stream")
    return done, *draw.result()


class Bar:
    """A bar on standard error, where that is a terminal: how much of a pass is read."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("pass {task.fields[number]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(
            *columns,
            console=console,
            disable=not console.is_terminal,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what is printed into a file stays there
        )
        self._passes = count(1)
        self._task = self._bar.add_task("", total=None, number=next(self._passes))

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int | None) -> None:
        """So many of the samples are read, of all, where that is known."""
        self._bar.update(self._task, completed=done, total=total)

    def end_pass(self) -> None:
        """The next pass begins."""
        self._bar.update(self._task, completed=0, number=next(self._passes))
