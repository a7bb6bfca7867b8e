"""Reading samples in pieces, a piece ahead of the computation: HDF5 data sets, memory maps, iterables."""

import mmap
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _hdf5
from latentcore._files import printable
from latentcore._memory import available, megabytes
from latentcore.mixture import _arrays

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
        sliced = _Sliced(X)
        if isinstance(X, h5py.Dataset):
            _hdf5.checked(X, _name(X))
        return _mapped(X) or sliced
    return _Iterated(X if callable(X) else X.__iter__)


def length_of(X: Any) -> int | None:
    """The number of samples, where it is known before they are read."""
    return X.shape[0] if isinstance(X, (h5py.Dataset, np.memmap)) and X.shape else None


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
        if array.shape is None or array.ndim != 2 or array.shape[1] == 0:
            _checks.fail_value("X", "shape (N, D) with D >= 1", array.shape)
        if array.dtype.kind not in "fiub":
            _checks.fail_type("X", "real numbers", array.dtype)
        self._array = array
        self._dtype = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
        rows = _rows(_COPIED, array.shape[1] * np.dtype(self._dtype).itemsize)
        # a chunk of HDF5's is unpacked as a whole; but a piece does not become as large as one may be
        chunk = (getattr(array, "chunks", None) or (1,))[0]
        self._rows = min(-(-rows // chunk) * chunk, 8 * rows)
        held = _AHEAD * min(self._rows, len(array)) * array.shape[1] * np.dtype(self._dtype).itemsize
        if held > (free := available()):
            expected = f"samples of which {_AHEAD} pieces fit the memory, {megabytes(free)}"
            _checks.fail_value("X", expected, f"shape {array.shape}, {megabytes(held)}")

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(self._read())

    def _read(self) -> Iterator[Tensor]:
        array, rows = self._array, min(self._rows, len(self._array))
        # `_ahead` asks for a piece when the last but one is no longer needed
        buffers = [np.empty((rows, array.shape[1]), self._dtype) for _ in range(_AHEAD)]
        for number, begin in enumerate(range(0, len(array), max(rows, 1))):
            part = buffers[number % _AHEAD][: len(array) - begin]
            if isinstance(array, h5py.Dataset):
                _hdf5.read_into(array, part, begin, begin + len(part), _name(array))
            else:
                np.copyto(part, array[begin : begin + rows], casting="same_kind")
            yield torch.from_numpy(part)


@dataclass(frozen=True)
class _Mapped:
    """Pieces of an HDF5 data set that lies in its file as plain numbers: the computation reads the page cache itself.

    Attributes:
        array: The data set.
        offset: Where in the file its numbers begin, in bytes.
    """

    array: h5py.Dataset
    offset: int

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(self._read())

    def _read(self) -> Iterator[Tensor]:
        (count, features), dtype = self.array.shape, self.array.dtype
        size = features * dtype.itemsize
        rows = _rows(_MAPPED, size)
        # the open file itself: another one may have its name by now
        with os.fdopen(os.dup(self.array.file.id.get_vfd_handle()), "rb") as file:
            end = os.fstat(file.fileno()).st_size
            if end < self.offset + count * size:  # reading a mapping beyond the end would end the process
                _checks.fail_value(_name(self.array), f"{self.offset + count * size} bytes", f"a file of {end}")
            for begin in range(0, count, rows):
                shape = (min(rows, count - begin), features)
                # a mapping for each piece: pages that were used do not count as this process's memory any longer.
                # "c": of read-only arrays torch warns
                part = np.memmap(file, dtype, "c", self.offset + begin * size, shape)
                part[:: _rows(mmap.PAGESIZE, size), 0].sum()  # from the disk, if it is not in memory yet
                yield torch.from_numpy(part)


def _name(array: h5py.Dataset) -> str:
    """What errors call a data set."""
    return f"X, {printable(f'{array.file.filename}: {array.name}')}"


def _rows(most: int, size: int) -> int:
    """How many rows of some bytes fit so many bytes, at least one."""
    return max(1, most // size)


def _mapped(array: Any) -> _Mapped | None:
    """The numbers of a data set where they lie in its file, if they lie there as they are."""
    if not isinstance(array, h5py.Dataset) or array.ndim != 2 or 0 in array.shape:
        return None
    if array.dtype not in (np.float32, np.float64) or array.id.get_type() != h5py.h5t.py_create(array.dtype):
        return None  # HDF5 has more types than NumPy
    # an open file may hold back what is written; other drivers and external storage are not this file
    plain = array.file.mode == "r" and array.file.driver == "sec2" and not array.external and not array.is_virtual
    if (
        not plain
        or array.chunks is not None
        or array.file.userblock_size
        or array.id.get_storage_size() != array.nbytes
    ):
        return None
    offset = array.id.get_offset()
    return None if offset is None else _Mapped(array, offset)


_AHEAD = 2  # pieces that are alive: one in use, one being read


def _ahead(pieces: Iterator[Tensor]) -> Iterator[Tensor]:
    """The same pieces, of which a thread reads the next one while one is in use."""
    with ThreadPoolExecutor(1, "latentcore-reader") as reader:
        pending = deque(reader.submit(next, pieces, None) for _ in range(_AHEAD))
        while (piece := pending.popleft().result()) is not None:
            yield piece
            pending.append(reader.submit(next, pieces, None))


def _tensor(piece: Any) -> Tensor:
    """A copy of a piece as an iterable gives it, which may fill the same memory with the next one.

    Of a list or tuple, as data loaders give it, it is the first entry: labels may stand beside the samples.
    """
    if isinstance(piece, list | tuple) and [getattr(entry, "ndim", 0) for entry in piece[:2]] in ([2], [2, 1]):
        piece = piece[0]
    if isinstance(piece, Tensor):
        return piece.detach().clone()
    array = np.array(piece)
    if array.dtype.kind not in "fiub":
        _checks.fail_type("X", "pieces of real numbers", array.dtype)
    return torch.from_numpy(array)


def _spooled(pieces: Iterator[Any]) -> np.memmap:
    """All that an iterator gives, in a file without a name that vanishes with its last user."""
    first: Tensor | None = None
    count = 0
    with tempfile.TemporaryFile() as file:
        for piece in _ahead(map(_tensor, pieces)):
            x = one_kind(piece, first)
            first = x if first is None else first
            file.write(x.cpu().contiguous().numpy().data)
            count += len(x)
        if first is None or not count:
            _checks.fail_value("X", "at least one piece of at least one sample", "none")
        file.flush()
        return np.memmap(file, first.cpu().numpy().dtype, mode="r", shape=(count, first.shape[1]))


def one_kind(piece: Tensor, first: Tensor | None) -> Tensor:
    """A piece as float32 or float64, with the features, dtype and device of the first one."""
    x = _arrays.floating(piece)
    features = None if first is None else first.shape[1]
    if x.dim() != 2 or x.shape[1] == 0 or features not in (None, x.shape[1]):
        _checks.fail_value("X", f"pieces of shape (n, {features or 'D'})", tuple(x.shape))
    if first is not None and x.dtype != first.dtype:
        _checks.fail_type("X", f"pieces of one dtype, {first.dtype}", str(x.dtype))
    return x if first is None else x.to(first.device)
