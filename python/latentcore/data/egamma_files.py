"""What an HDF5 file of electrons and photons holds, checked when it is opened."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _checks

# shapes: N events, H rows of cells, W columns of cells, C channels

IMAGES, LABELS = "X", "y"
PHOTON, ELECTRON = 0, 1

_NAMED = 5  # rows that an error names
_FILTERS = {
    h5py.h5z.FILTER_DEFLATE: "gzip",
    h5py.h5z.FILTER_SHUFFLE: "shuffle",
    h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    h5py.h5z.FILTER_LZF: "lzf",
}


@dataclass(frozen=True, eq=False)
class EventFile:
    """One file, without its images.

    Attributes:
        path: Where it is.
        shape: That of the images: (N, H, W, C).
        dtype: That of the images.
        chunks: The sizes of a chunk, or None where the images lie in one piece.
        filters: What packs a chunk, in the order of writing: "lzf", "gzip", "shuffle", or HDF5's number.
        labels: (N,), uint8: 0 photon, 1 electron.
        label_dtype: That of the labels in the file.
        fingerprint: A number of 64 hexadecimal digits that says which labels and which first event these are.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    filters: tuple[str, ...]
    labels: np.ndarray
    label_dtype: np.dtype[Any]
    fingerprint: str

    def __len__(self) -> int:
        return self.shape[0]

    def reordered(self) -> tuple[int, int, int]:
        """(C, H, W): an event as it is given out."""
        _, height, width, channels = self.shape
        return channels, height, width


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, to read; one that is damaged is a ValueError that names it."""
    with path.open("rb"):  # a file that is missing or may not be read is an OSError with its own words
        pass
    try:
        file = h5py.File(path, "r", locking=False)
    except (OSError, RuntimeError) as error:
        _checks.fail_value(str(path), "a whole HDF5 file", _reason(error))
    with file:
        yield file


def read_file(path: str | os.PathLike[str], *, labelled: bool = True) -> EventFile:
    """Look at a file and read its labels; those of one that shall not be labelled are 0.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no whole HDF5 file, lacks a data set, or one does not fit.
    """
    path = Path(path)
    with opened(path) as file:
        images = _dataset(
            path, file, IMAGES, f"data sets {IMAGES} and {LABELS}" if labelled else f"a data set {IMAGES}"
        )
        _check_images(path, images)
        plist = images.id.get_create_plist()
        codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        found, dtype = _labels(path, file, len(images)) if labelled else _unlabelled(len(images))
        described = repr((images.shape, images.dtype.str)).encode()
        return EventFile(
            path,
            images.shape,
            images.dtype,
            images.chunks,
            tuple(_FILTERS.get(code, str(code)) for code in codes),
            found,
            dtype,
            hashlib.sha256(described + found.tobytes() + _read(path, images, slice(0, 1)).tobytes()).hexdigest(),
        )


def check_finite(images: Tensor, rows: np.ndarray, files: Sequence[EventFile]) -> None:
    """No NaN and no infinity among the images (n, ...) of these rows, counted over all files."""
    # a sum costs next to nothing in the cache; that of large finite numbers may overflow
    if bool(torch.isfinite(images.sum())) or bool((fine := torch.isfinite(images).flatten(1).all(1)).all()):
        return
    bad = np.sort(rows[~fine.cpu().numpy()])
    begin = 0
    for file in files:
        own = bad[(bad >= begin) & (bad < begin + len(file))] - begin
        if len(own):
            _checks.fail_value(f"{file.path}: {IMAGES}", "finite numbers", f"NaN or infinity in {words(own)}")
        begin += len(file)


def words(rows: np.ndarray) -> str:
    """Some row numbers for people."""
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return ("rows " if len(rows) > 1 else "row ") + ", ".join(str(row) for row in rows[:_NAMED]) + more


def damaged(path: Path, begin: int, end: int, error: Exception | str) -> None:
    """Raise that some rows, `end` not among them, cannot be read."""
    name = f"{path}: {IMAGES}, rows {begin} to {end - 1}"
    _checks.fail_value(name, "whole chunks", error if isinstance(error, str) else _reason(error))


def _dataset(path: Path, file: h5py.File, key: str, expected: str) -> h5py.Dataset:
    """A data set whose numbers lie in this file."""
    link = file.get(key, getlink=True)
    if link is None:
        _checks.fail_value(str(path), expected, sorted(file) or "an empty file")
    if isinstance(link, h5py.ExternalLink):
        _checks.fail_value(f"{path}: {key}", "a data set in this file", f"a link to {link.filename}")
    try:
        found = file[key]
    except (KeyError, OSError, RuntimeError) as error:
        _checks.fail_value(f"{path}: {key}", "a whole data set", _reason(error))
    if not isinstance(found, h5py.Dataset):
        _checks.fail_value(f"{path}: {key}", "a data set", f"a {type(found).__name__.lower()}")
    if found.external or found.is_virtual:
        _checks.fail_value(f"{path}: {key}", "a data set in this file", "one whose numbers lie in other files")
    if found.dtype.kind not in "fiub":
        _checks.fail_value(f"{path}: {key}", "real numbers", found.dtype)
    return found


def _check_images(path: Path, images: h5py.Dataset) -> None:
    shape, name = images.shape, f"{path}: {IMAGES}"
    # a channel for every row of cells would be an image with its channels first
    if shape is None or len(shape) != 4 or 0 in shape[1:] or shape[3] > min(shape[1:3]):
        _checks.fail_value(name, "shape (N, H, W, C), channels last", shape)
    if shape[0] == 0:
        _checks.fail_value(name, "at least one event", "none")


def _unlabelled(count: int) -> tuple[np.ndarray, np.dtype[Any]]:
    return np.zeros(count, np.uint8), np.dtype(np.uint8)


def _labels(path: Path, file: h5py.File, count: int) -> tuple[np.ndarray, np.dtype[Any]]:
    """The labels, and their dtype in the file."""
    labels = _dataset(path, file, LABELS, f"data sets {IMAGES} and {LABELS}")
    if labels.shape != (count,):
        _checks.fail_value(f"{path}: {LABELS}", f"shape ({count},), a label for every event", labels.shape)
    found = _read(path, labels, slice(None))
    wrong = np.flatnonzero((found != PHOTON) & (found != ELECTRON))  # NaN is neither
    if len(wrong):
        got = f"{found[wrong[0]]} in {words(wrong)}"
        _checks.fail_value(f"{path}: {LABELS}", "0 for a photon and 1 for an electron", got)
    return found.astype(np.uint8), labels.dtype


def _read(path: Path, data: h5py.Dataset, rows: slice) -> np.ndarray:
    try:
        return np.asarray(data[rows])
    except (OSError, RuntimeError) as error:
        name = data.name.lstrip("/")
        _checks.fail_value(
            f"{path}: {name}, rows {rows.start or 0} to {rows.stop or len(data)}", "whole data", _reason(error)
        )


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
