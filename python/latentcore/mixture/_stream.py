"""Reading samples in pieces, a piece ahead of the computation: HDF5 data sets, memory maps, iterables."""

import mmap
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _checks

# shapes: (n, D) a piece, (N, D) all samples

# bytes of a piece: one that is copied stays in the cache until it is used, one that is mapped is worth its mapping
_COPIED, _MAPPED = 2**23, 2**25


class Stream(Protocol):
    """Samples that can be read again and again."""

    def pieces(self) -> Iterator[Tensor]:
        """One pass: (n, D) pieces in order; one is valid until the next is asked for."""


def is_stream(X: Any) -> bool:
    """Whether X is read in pieces, and not an array that fits the memory."""
    if isinstance(X, (h5py.Dataset, np.memmap)):
        return True
    if isinstance(X, Sequence | Mapping) or hasattr(X, "shape") or hasattr(X, "__array__"):
        return False
    return isinstance(X, Iterable) or callable(X)


def open_stream(X: Any) -> Stream:
    """The samples of an `is_stream`. An iterator, which can be read once only, is kept in a temporary file."""
    X = repeatable(X)
    if isinstance(X, (h5py.Dataset, np.memmap)):
        return _mapped(X) or _Sliced(X)
    return _Iterated(X if callable(X) else X.__iter__)


def repeatable(X: Any) -> Any:
    """X itself, but what an iterator gives in a temporary file."""
    return _spooled(X) if isinstance(X, Iterator) else X


@dataclass(frozen=True)
class _Iterated:
    """Pieces of a new iterator for every pass."""

    start: Callable[[], Iterable[Any]]

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(map(_tensor, iter(self.start())))


class _Sliced:
    """Pieces of an array on disk, copied into memory, and converted where it is of another type."""

    def __init__(self, array: Any) -> None:
        if array.ndim != 2 or array.shape[1] == 0:
            _checks.fail_value("X", "shape (N, D) with D >= 1", array.shape)
        if array.dtype.kind not in "fiub":
            _checks.fail_type("X", "real numbers", array.dtype)
        self._array = array
        self._dtype = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
        rows = _rows(_COPIED, array.shape[1] * np.dtype(self._dtype).itemsize)
        chunk = (getattr(array, "chunks", None) or (1,))[0]  # a chunk of HDF5's is unpacked as a whole
        self._rows = -(-rows // chunk) * chunk

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(self._read())

    def _read(self) -> Iterator[Tensor]:
        array, rows = self._array, min(self._rows, len(self._array))
        # `_ahead` asks for a piece when the last but one is no longer needed
        buffers = [np.empty((rows, array.shape[1]), self._dtype) for _ in range(_AHEAD)]
        for number, begin in enumerate(range(0, len(array), max(rows, 1))):
            part = buffers[number % _AHEAD][: len(array) - begin]
            if isinstance(array, h5py.Dataset):
                array.read_direct(part, np.s_[begin : begin + rows])
            else:
                np.copyto(part, array[begin : begin + rows], casting="same_kind")
            yield torch.from_numpy(part)


@dataclass(frozen=True)
class _Mapped:
    """Pieces of a file that holds the numbers one after the other: the computation reads the page cache itself.

    Attributes:
        path: The file.
        offset: Where in it the numbers begin, in bytes.
        shape: (N, D).
        dtype: float32 or float64.
    """

    path: str
    offset: int
    shape: tuple[int, int]
    dtype: np.dtype

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(self._read())

    def _read(self) -> Iterator[Tensor]:
        count, features = self.shape
        size = features * self.dtype.itemsize
        rows = _rows(_MAPPED, size)
        for begin in range(0, count, rows):
            shape = (min(rows, count - begin), features)
            # a mapping for each piece: pages that were used do not count as this process's memory any longer. "c": of
            # read-only arrays torch warns
            part = np.memmap(self.path, self.dtype, "c", self.offset + begin * size, shape)
            part[:: _rows(mmap.PAGESIZE, size), 0].sum()  # from the disk, if it is not in memory yet
            yield torch.from_numpy(part)


def _rows(most: int, size: int) -> int:
    """How many rows of some bytes fit so many bytes, at least one."""
    return max(1, most // size)


def _mapped(array: Any) -> _Mapped | None:
    """The numbers of an array where they lie in a file, if they lie there as they are."""
    if array.ndim != 2 or 0 in array.shape or array.dtype not in (np.float32, np.float64):
        return None
    if isinstance(array, h5py.Dataset):
        # an open file may hold back what is written; other drivers and external storage are not this file
        plain = array.file.mode == "r" and array.file.driver == "sec2" and not array.external and not array.is_virtual
        offset = array.id.get_offset() if plain and array.chunks is None and array.file.userblock_size == 0 else None
        return None if offset is None else _Mapped(array.file.filename, offset, array.shape, array.dtype)
    owner = array
    while isinstance(owner.base, np.memmap):
        owner = owner.base
    if not array.flags.c_contiguous or not isinstance(owner.filename, str | Path) or owner.mode == "c":
        return None
    offset = owner.offset + array.ctypes.data - owner.ctypes.data
    return _Mapped(str(owner.filename), offset, array.shape, array.dtype)


_AHEAD = 2  # pieces that are alive: one in use, one being read


def _ahead(pieces: Iterator[Tensor]) -> Iterator[Tensor]:
    """The same pieces, of which a thread reads the next one while one is in use."""
    with ThreadPoolExecutor(1, "latentcore-reader") as reader:
        pending = deque(reader.submit(next, pieces, None) for _ in range(_AHEAD))
        while (piece := pending.popleft().result()) is not None:
            yield piece
            pending.append(reader.submit(next, pieces, None))


def _tensor(piece: Any) -> Tensor:
    """A piece as an iterable gives it; of a list or tuple, as data loaders give it, the first entry."""
    if isinstance(piece, list | tuple) and piece and getattr(piece[0], "ndim", 0) == 2:
        piece = piece[0]
    if isinstance(piece, Tensor):
        return piece.detach()
    array = np.asarray(piece)
    if array.dtype.kind not in "fiub":
        _checks.fail_type("X", "pieces of real numbers", array.dtype)
    return torch.from_numpy(array if array.flags.writeable and array.flags.c_contiguous else array.copy())


def _spooled(pieces: Iterator[Any]) -> np.memmap:
    """All that an iterator gives, in a file without a name that vanishes with its last user."""
    shape, dtype = None, np.dtype(np.float64)
    with tempfile.TemporaryFile() as file:
        count = 0
        for piece in _ahead(map(_tensor, pieces)):
            array = piece.cpu().numpy()
            if shape is None:
                shape, dtype = array.shape[1:], array.dtype
            if array.ndim != 2 or array.shape[1:] != shape:
                _checks.fail_value("X", f"pieces of shape (n, {'D' if shape is None else shape[0]})", array.shape)
            file.write(np.ascontiguousarray(array, dtype).data)
            count += len(array)
        if not count or shape is None:
            _checks.fail_value("X", "at least one piece of at least one sample", "none")
        file.flush()
        return np.memmap(file, dtype, mode="r", shape=(count, *shape))
