"""Reading samples in pieces, a piece ahead of the computation: HDF5 data sets, memory maps, iterables."""

import copy
import mmap
import os
import tempfile
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from latentcore import _errors, _hdf5
from latentcore._files import printable
from latentcore._memory import available, megabytes
from latentcore.mixture import _arrays, _items
from latentcore.mixture._warnings import warn

if TYPE_CHECKING:  # it is slow to import, and who has no HDF5 data set does not need it
    import h5py

# shapes: (n, D) a piece, (N, D) all samples

# bytes of a piece: one that is copied stays in the cache until it is used, one that is mapped is worth its mapping
_COPIED, _MAPPED = 2**23, 2**25
_BATCH = 2**10  # samples of a data set that are collated into a piece


class Stream(ABC):
    """Samples that can be read again and again, as `open_stream` makes them; all that takes samples takes these."""

    @property
    def length(self) -> int | None:
        """The number of samples, where it is known before they are read."""
        return None

    @abstractmethod
    def pieces(self) -> Iterator[Tensor]:
        """One pass: (n, D) pieces in order; one is valid until the next is asked for."""


def opened(X: Any) -> Any:
    """A `Stream` where X is read in pieces; X itself, which is an array, where it is taken as a whole."""
    if isinstance(X, np.memmap):
        return X if _fits(X) else open_stream(X)
    return open_stream(X) if is_stream(X) else X


def is_stream(X: Any) -> bool:
    """Whether X is read in pieces however small it is."""
    if isinstance(X, Stream | Dataset) or _hdf5.is_dataset(X):
        return True
    if isinstance(X, Tensor) or hasattr(X, "shape") or hasattr(X, "__array__"):
        return False
    if isinstance(X, Mapping):
        _errors.fail_type("X", "samples (N, D)", f"a {type(X).__name__}")
    if isinstance(X, Sequence):
        return len(X) > 0 and getattr(X[0], "ndim", 0) == 2
    return isinstance(X, Iterable) or callable(X)


def open_stream(X: Any, *, map: bool = True) -> Stream:  # noqa: A002  # what it does
    """Samples that are read in pieces, as often as they are needed, and never as a whole.

    What it returns goes where `GaussianMixture.fit`, its predictions and `sweep` take samples; they call it themselves
    for all that stands below. Only of a NumPy memory map, as joblib hands it to its workers for an array, they make a
    stream no sooner than it is larger than half of the free memory, and warn.

    Args:
        X: An HDF5 data set, a memory map, a data loader or a map-style data set of torch (where its batches are tuples
            or lists, their first entry), another iterable of (n, D) pieces (of tuples, the first entry) or a function
            that returns one, or an iterator, which can be read once only and is kept in a temporary file.
        map: Whether an HDF5 file of plain numbers is mapped into memory, which is fastest. If somebody makes it shorter
            meanwhile, or its disk fails, the system ends this process with SIGBUS, which Python cannot catch. False
            copies what is read, and all that fails is an error.

    Returns:
        The stream; it is read only when it is used.

    Raises:
        TypeError: X is not read in pieces, or does not hold real numbers.
        ValueError: X has another shape than (N, D), or two pieces do not fit into memory.

    Example:
        >>> import numpy as np
        >>> from latentcore.mixture import GaussianMixture
        >>> pieces = np.random.default_rng(0).normal(size=(9, 50, 2))
        >>> GaussianMixture(2, random_state=0).fit(open_stream(lambda: iter(pieces))).n_samples_seen_
        450.0
    """
    if isinstance(X, Stream):
        return X if map or not isinstance(X, _Mapped) else _Sliced(X.array)
    if isinstance(X, Iterator):
        return _Sliced(_spooled(X))
    if isinstance(X, np.memmap) or _hdf5.is_dataset(X):
        sliced = _Sliced(X)
        if _hdf5.is_dataset(X):
            _hdf5.checked(X, _name(X))
        return (_mapped(X) if map else None) or sliced
    if not is_stream(X):
        _errors.fail_type("X", "samples that are read in pieces", type(X).__name__)
    return _iterated(X)


def _fits(array: np.memmap) -> bool:
    """Whether the samples of a memory map are taken as a whole, as joblib hands arrays to its workers."""
    size, free = array.size * (4 if array.dtype == np.float32 else 8), available()
    if 2 * size <= free:
        return True
    warn(
        f"X: a memory map of {megabytes(size)} is read in pieces, as more than half of the {megabytes(free)} of free "
        "memory; open_stream(X) asks for that",
        UserWarning,
    )
    return False


@dataclass(frozen=True)
class _Iterated(Stream):
    """Pieces of a new iterator for every pass."""

    start: Callable[[], Iterable[Any]]
    length: int | None = None

    def pieces(self) -> Iterator[Tensor]:
        found = self.start()
        if not isinstance(found, Iterable):
            _errors.fail_type("X", "a function that returns an iterator of pieces", f"one of {type(found).__name__}")
        return _ahead(map(_items.of_piece, iter(found)))


def _iterated(X: Any) -> _Iterated:
    """Pieces of a data set, a data loader, another iterable or a function."""
    if isinstance(X, Dataset) and not isinstance(X, Iterable):
        if not isinstance(X, Sized):
            _errors.fail_type("X", "a data set with a length", type(X).__name__)
        return _Iterated(lambda: _batches(X), len(X))
    if isinstance(X, DataLoader):
        loader = X
        if X.collate_fn is default_collate:
            loader = copy.copy(X)
            loader.collate_fn = _items.collated
        return _Iterated(lambda: map(_items.first_entry, loader))
    return _Iterated(X.__iter__ if isinstance(X, Iterable) else X)


def _batches(samples: Any) -> Iterator[np.ndarray]:
    """The samples of a map-style data set, some at a time."""
    for begin in range(0, len(samples), _BATCH):
        yield _items.rows([samples[i] for i in range(begin, min(begin + _BATCH, len(samples)))])


class _Sliced(Stream):
    """Pieces of an array on disk, copied into memory, and converted where it is of another type."""

    def __init__(self, array: Any) -> None:
        if array.shape is None or array.ndim != 2 or array.shape[1] == 0:
            _errors.fail_value("X", "shape (N, D) with D >= 1", array.shape)
        if array.dtype.kind not in "fiub":
            _errors.fail_type("X", "real numbers", array.dtype)
        self._array = array
        self._dtype = np.float32 if array.dtype.kind == "f" and array.dtype.itemsize <= 4 else np.float64
        rows = _rows(_COPIED, array.shape[1] * np.dtype(self._dtype).itemsize)
        # a chunk of HDF5's is unpacked as a whole; but a piece does not become as large as one may be
        chunk = (getattr(array, "chunks", None) or (1,))[0]
        self._rows = min(-(-rows // chunk) * chunk, 8 * rows)
        held = _AHEAD * min(self._rows, len(array)) * array.shape[1] * np.dtype(self._dtype).itemsize
        if held > (free := available()):
            expected = f"samples of which {_AHEAD} pieces fit the memory, {megabytes(free)}"
            _errors.fail_value("X", expected, f"shape {array.shape}, {megabytes(held)}")

    @property
    def length(self) -> int:
        return len(self._array)

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(self._read())

    def _read(self) -> Iterator[Tensor]:
        array, rows = self._array, min(self._rows, len(self._array))
        # `_ahead` asks for a piece when the last but one is no longer needed
        buffers = [np.empty((rows, array.shape[1]), self._dtype) for _ in range(_AHEAD)]
        for number, begin in enumerate(range(0, len(array), max(rows, 1))):
            part = buffers[number % _AHEAD][: len(array) - begin]
            if _hdf5.is_dataset(array):
                _hdf5.read_into(array, part, begin, begin + len(part), _name(array))
                _check_length(array)
            else:
                np.copyto(part, array[begin : begin + rows], casting="same_kind")
            yield torch.from_numpy(part)


@dataclass(frozen=True)
class _Mapped(Stream):
    """Pieces of an HDF5 data set that lies in its file as plain numbers: the computation reads the page cache itself.

    Attributes:
        array: The data set.
        offset: Where in the file its numbers begin, in bytes.
    """

    array: "h5py.Dataset"
    offset: int

    @property
    def length(self) -> int:
        return len(self.array)

    def pieces(self) -> Iterator[Tensor]:
        return _ahead(self._read())

    def _read(self) -> Iterator[Tensor]:
        (count, features), dtype = self.array.shape, self.array.dtype
        size = features * dtype.itemsize
        rows = _rows(_MAPPED, size)
        # the open file itself: another one may have its name by now
        with os.fdopen(os.dup(self.array.file.id.get_vfd_handle()), "rb") as file:
            for begin in range(0, count, rows):
                _check_length(self.array)
                shape = (min(rows, count - begin), features)
                # a mapping for each piece: pages that were used do not count as this process's memory any longer.
                # "c": of read-only arrays torch warns
                part = np.memmap(file, dtype, "c", self.offset + begin * size, shape)
                part[:: _rows(mmap.PAGESIZE, size), 0].sum()  # from the disk, if it is not in memory yet
                yield torch.from_numpy(part)


def _name(array: "h5py.Dataset") -> str:
    """What errors call a data set."""
    return f"X, {printable(f'{array.file.filename}: {array.name}')}"


def _check_length(array: "h5py.Dataset") -> None:
    """A file that is only read did not become shorter: beyond its end HDF5 reads zeros, and a mapping has nothing."""
    if array.file.mode != "r" or array.file.driver != "sec2":
        return
    opened_with, has = array.file.id.get_filesize(), os.fstat(array.file.id.get_vfd_handle()).st_size
    if has < opened_with:
        _errors.fail_value(_name(array), f"{opened_with} bytes", f"a file of {has}")


def _rows(most: int, size: int) -> int:
    """How many rows of some bytes fit so many bytes, at least one."""
    return max(1, most // size)


def _mapped(array: Any) -> _Mapped | None:
    """The numbers of a data set where they lie in its file, if they lie there as they are."""
    if not _hdf5.is_dataset(array) or array.ndim != 2 or 0 in array.shape:
        return None
    import h5py

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


def _spooled(pieces: Iterator[Any]) -> np.memmap:
    """All that an iterator gives, in a file without a name that vanishes with its last user."""
    first: Tensor | None = None
    count = 0
    with tempfile.TemporaryFile() as file:
        for piece in _ahead(map(_items.of_piece, pieces)):
            x = _arrays.one_kind(piece, first)
            first = x if first is None else first
            file.write(x.cpu().contiguous().numpy().data)
            count += len(x)
        if first is None or not count:
            _errors.fail_value("X", "at least one piece of at least one sample", "none")
        file.flush()
        return np.memmap(file, first.cpu().numpy().dtype, mode="r", shape=(count, first.shape[1]))
