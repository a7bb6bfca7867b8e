"""Samples that do not fit the memory: exact expectation maximisation in passes over a stream."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors
from latentcore._memory import bounded
from latentcore.mixture import _arrays
from latentcore.mixture._shard import Shard, picked, places_of
from latentcore.mixture._source import Preparation, means_of_known, sums_of_known, without_gaps
from latentcore.mixture._stream import Stream
from latentcore.mixture.distributed import Group
from latentcore.reference import MixtureParameters, MixtureStatistics

if TYPE_CHECKING:
    from latentcore.mixture._bar import Bar

# shapes: (N, D) samples of this process, (n, D) a piece of them

_START, _START_BYTES = 2**18, 2**25  # samples from which EM starts where the estimator does not say how many


@dataclass(frozen=True)
class Streamed:
    """Samples that every pass reads anew.

    Attributes:
        stream: The samples of this process.
        seen: What the first pass saw of them.
        drawn: Some of them, or all.
        weight: How often each counts, (N,), or None.
        labels: Class indices, -1 where unknown, (N,), or None.
        preparation: How they are made ready.
        bar: Shows how far a pass is.
    """

    stream: Stream
    seen: "Survey"
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
        own = float(self.seen.count) if self.weight is None else self.weight.double().sum()
        return float(self.drawn.sum(torch.as_tensor(own, dtype=torch.float64, device=self.device)))

    @cached_property
    def mean_weight(self) -> Tensor | None:
        """The mean weight of all processes' samples of weight > 0."""
        return replace(self.drawn, weight=self.weight).mean_weight

    @property
    def some(self) -> Shard:
        """Not too many of the samples, without gaps."""
        return without_gaps(self.drawn, self.means)

    @cached_property
    def means(self) -> Tensor | None:
        """The features' means, (D,), where values may be missing."""
        return None if self.seen.known is None else means_of_known(*self.seen.known, self.group)

    def prepared(self, preparation: Preparation) -> "Streamed":
        """The same samples, made ready in another way."""
        return replace(self, preparation=preparation)

    def indexed(self, classes: Tensor) -> "Streamed":
        """With places among the classes for class numbers."""
        labels = None if self.labels is None else places_of(self.labels, classes)
        return replace(self, labels=labels, drawn=self.drawn.indexed(classes))

    def start(self, size: int | None, random: np.random.RandomState) -> tuple[Shard, bool]:
        """The samples that the first pass drew, and whether these are all."""
        left = torch.tensor(float(self.seen.count - len(self.drawn)), device=self.device)
        return self.drawn, bool(self.drawn.sum(left) == 0)

    def shards(self) -> Iterator[Shard]:
        """One pass, piece by piece."""
        done, beside = 0, self.weight is not None or self.labels is not None
        for x in bounded(checked_pieces(self.stream, like=self.drawn.x)):
            if beside and done == 0 and not torch.equal(x[0].nan_to_num(), self.seen.first.nan_to_num()):
                _errors.fail_value(
                    "X", "the same order in every pass, beside weights or labels", "another first sample"
                )
            rows = slice(done, done + len(x))
            done += len(x)
            yield Shard(x, picked(self.weight, rows), picked(self.labels, rows), self.group)
            if self.bar is not None:
                self.bar.show(done, self.seen.count)
        if self.bar is not None:
            self.bar.end_pass()
        if done != self.seen.count:
            _errors.fail_value("X", f"{self.seen.count} samples in every pass", done)

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
    """Draws some of the samples of a stream while it passes, each with the same probability.

    Args:
        size: How many; None: 262,144, or as many as have 32 MB.
        random: The state from which they are drawn; it is left as it is.
        always: Numbers of samples that are drawn in any case, sorted.
        weight: How often each sample counts, (N,), or None: those that do not count are drawn last.
        count: N, where it is known: then few samples have to be held that are not drawn in the end.
    """

    def __init__(
        self,
        size: int | None,
        random: np.random.RandomState,
        always: Tensor,
        weight: np.ndarray | None = None,
        count: int | None = None,
    ) -> None:
        self._count = count
        self._size, self._always, self._weight = size, always.cpu().numpy(), weight
        # a fit of as many samples in memory draws the same numbers afterwards
        self._random = np.random.default_rng(copy.deepcopy(random).randint(2**32, size=4, dtype=np.uint64))
        self._limit = np.inf
        self._found: list[tuple[np.ndarray, np.ndarray, Tensor]] = []  # keys, numbers, samples
        self._held = 0

    def add(self, x: Tensor, first: int) -> None:
        """Look at a piece whose first sample has the number `first`."""
        size = self._size_of(x)
        keys = self._keys(first, len(x))
        if first == 0 and self._count is not None and self._weight is None and size < self._count:
            # keys are uniform: fewer than `size` of them below this would be eight standard deviations from what is due
            self._limit = (size + 8 * size**0.5) / self._count
        if len(x) > size:
            self._limit = min(self._limit, np.partition(keys, size)[size])
        some = np.flatnonzero(keys < self._limit)
        # indexing copies: the piece will be overwritten
        self._found.append((keys[some], first + some, x[torch.from_numpy(some).to(x.device)]))
        self._held += len(some)
        if self._held > 2 * size:
            self._keep_least()

    def result(self) -> tuple[Tensor, np.ndarray]:
        """The drawn samples in their order, and their numbers."""
        self._keep_least()
        _, rows, x = self._found[0]
        return x, rows

    def _size_of(self, x: Tensor) -> int:
        size = _START if self._size is None else self._size
        if self._size is None:
            size = min(size, max(1, _START_BYTES // (x.shape[1] * x.element_size())))
        return size + len(self._always)

    def _keys(self, first: int, count: int) -> np.ndarray:
        """A number for each sample, of which the least are kept."""
        keys = self._random.random(count)
        if self._weight is not None:
            weight = self._weight[first : first + count]  # shorter where it does not fit, which is found afterwards
            keys[: len(weight)][weight == 0] += 1
        begin, end = np.searchsorted(self._always, (first, first + count))
        keys[self._always[begin:end] - first] = -1
        return keys

    def _keep_least(self) -> None:
        """Keep the samples of the least keys."""
        keys, rows = (np.concatenate(parts) for parts in list(zip(*self._found, strict=True))[:2])
        x = torch.cat([found for _, _, found in self._found])
        size = self._size_of(x)
        if len(keys) > size:
            least = np.sort(np.argpartition(keys, size)[:size])
            keys, rows, x = keys[least], rows[least], x[torch.from_numpy(least).to(x.device)]
            self._limit = keys.max()
        self._found, self._held = [(keys, rows, x)], len(keys)


def checked_pieces(stream: Stream, *, like: Tensor | None = None) -> Iterator[Tensor]:
    """The pieces as float32 or float64, all with the features, dtype and device of the first one or of `like`."""
    for piece in stream.pieces():
        x = _arrays.one_kind(piece, like)
        like = x if like is None else like
        if len(x):
            yield x


@dataclass(frozen=True)
class Survey:
    """What the first pass saw.

    Attributes:
        count: The number of samples, N.
        first: The first of them. (D,).
        known: `sums_of_known`, where values may be missing.
    """

    count: int
    first: Tensor
    known: tuple[Tensor, Tensor] | None


def survey(stream: Stream, draw: Draw, *, missing: bool, sample_weight: Any = None, bar: "Bar | None" = None) -> Survey:
    """The first pass: all samples are checked, and some are drawn."""
    first, known, done = None, None, 0
    for x in checked_pieces(stream):
        _arrays.check_values(x, missing=missing, first=done)
        draw.add(x, done)
        first = x[0].clone() if first is None else first
        if missing:
            sums = sums_of_known(x, _arrays.weights_of_piece(sample_weight, done, x))
            known = sums if known is None else (known[0] + sums[0], known[1] + sums[1])
        done += len(x)
        if bar is not None:
            bar.show(done, None)
    if bar is not None:
        bar.end_pass()
    if first is None:
        _errors.fail_value("X", "at least one sample", "an empty stream")
    return Survey(done, first, known)
