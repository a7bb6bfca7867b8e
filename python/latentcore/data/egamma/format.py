"""What an HDF5 file of electrons and photons holds, checked when it is opened."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _errors, _hdf5
from latentcore._memory import available, megabytes

# shapes: N events, H rows of cells, W columns of cells, C channels

IMAGES, LABELS = "X", "y"
PHOTON, ELECTRON = 0, 1

_NAMED = 5  # rows that an error names
_OF_ROW = 24  # bytes that are kept of an event: its label, as it is stored too, and its number


@dataclass(frozen=True, eq=False)
class EventFile:
    """One file, without its images.

    Attributes:
        path: Where it is.
        shape: That of the images: (N, H, W, C).
        dtype: That of the images.
        stored: Bytes of the disk that hold the images.
        chunks: The sizes of a chunk, or None where the images lie in one piece.
        filters: What packs a chunk, in the order of writing: "lzf", "gzip", "shuffle", or HDF5's number.
        labels: (N,), uint8: 0 photon, 1 electron.
        label_dtype: That of the labels in the file.
        fingerprint: A number of 64 hexadecimal digits that says which labels and which first event these are.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    stored: int
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


def read_file(path: str | os.PathLike[str], *, labelled: bool = True) -> EventFile:
    """Look at a file and read its labels; those of one that shall not be labelled are 0.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no whole HDF5 file, lacks a data set, or one does not fit.
    """
    path = Path(path)
    missing = f"data sets {IMAGES} and {LABELS}" if labelled else f"a data set {IMAGES}"
    with _hdf5.opened(path) as file, _hdf5.naming(str(path), "a whole HDF5 file"):
        images = images_of(path, file, missing)
        found, dtype = _labels(path, file, len(images), missing) if labelled else _unlabelled(len(images))
        first = _hdf5.read(images, f"{path}: {IMAGES}, rows 0 to 0", slice(0, 1))
        described = repr((images.shape, images.dtype.str)).encode()
        return EventFile(
            path,
            images.shape,
            images.dtype,
            _hdf5.stored(images, f"{path}: {IMAGES}"),
            images.chunks,
            _hdf5.named_filters(images),
            found,
            dtype,
            hashlib.sha256(described + found.tobytes() + first.tobytes()).hexdigest(),
        )


def images_of(path: Path, file: h5py.File, missing: str = f"a data set {IMAGES}") -> h5py.Dataset:
    """The data set of the images of an open file, judged; where there is none, the error says what was expected."""
    images = _hdf5.dataset(file, IMAGES, str(path), missing)
    _check_images(path, images)
    return images


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
            _errors.fail_value(f"{file.path}: {IMAGES}", "finite numbers", f"NaN or infinity in {words(own)}")
        begin += len(file)


def words(rows: np.ndarray) -> str:
    """Some row numbers for people."""
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return ("rows " if len(rows) > 1 else "row ") + ", ".join(str(row) for row in rows[:_NAMED]) + more


def name_of(path: Path, begin: int, end: int) -> str:
    """What errors call some rows of the images, `end` not among them."""
    return f"{path}: {IMAGES}, rows {begin} to {end - 1}"


def _check_images(path: Path, images: h5py.Dataset) -> None:
    shape, name = images.shape, f"{path}: {IMAGES}"
    # a channel for every row of cells would be an image with its channels first
    if shape is None or len(shape) != 4 or 0 in shape[1:] or shape[3] > min(shape[1:3]):
        _errors.fail_value(name, "shape (N, H, W, C), channels last", shape)
    if shape[0] == 0:
        _errors.fail_value(name, "at least one event", "none")
    # a chunk is unpacked as a whole, and beside one in use another one is read
    rows = images.chunks[0] if images.chunks is not None else 1
    least = 2 * 4 * rows * prod(shape[1:]) + _OF_ROW * shape[0]
    if least > (free := available()):
        expected = f"events of which two chunks and all labels fit the memory, {megabytes(free)}"
        _errors.fail_value(name, expected, f"shape {shape} in chunks of {rows}, {megabytes(least)}")


def _unlabelled(count: int) -> tuple[np.ndarray, np.dtype[Any]]:
    return np.zeros(count, np.uint8), np.dtype(np.uint8)


def _labels(path: Path, file: h5py.File, count: int, missing: str) -> tuple[np.ndarray, np.dtype[Any]]:
    """The labels, and their dtype in the file."""
    labels, name = _hdf5.dataset(file, LABELS, str(path), missing), f"{path}: {LABELS}"
    if labels.shape != (count,):
        _errors.fail_value(name, f"shape ({count},), a label for every event", labels.shape)
    found = _hdf5.read(labels, name)
    wrong = np.flatnonzero((found != PHOTON) & (found != ELECTRON))  # NaN is neither
    if len(wrong):
        got = f"{found[wrong[0]]} in {words(wrong)}"
        _errors.fail_value(name, "0 for a photon and 1 for an electron", got)
    return found.astype(np.uint8), labels.dtype
