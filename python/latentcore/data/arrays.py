"""Images and labels in NumPy and HDF5 files."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
import torch
from torch import Tensor

from latentcore import _checks
from latentcore._files import replacing

# shapes: N images, C channels, H rows, W columns

_IMAGE_KEYS = ("data", "images", "x")
_LABEL_KEYS = ("labels", "y")
_MOST_CHANNELS = 4  # where the last dimension is not larger and the second one is, the last one is the channels


@dataclass(frozen=True)
class ImageSet:
    """Images and, where they are known, their labels.

    Attributes:
        images: (N, C, H, W), uint8.
        labels: (N,), int64, or None.
    """

    images: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        _checks.dtype("images", self.images, (torch.uint8,))
        _checks.shape("images", self.images, ("N", "C", "H", "W"))
        if 0 in self.images.shape:
            _checks.fail_value("images", "at least one image of at least one pixel", tuple(self.images.shape))
        if self.labels is not None:
            _checks.dtype("labels", self.labels, (torch.int64,))
            _checks.shape("labels", self.labels, (len(self.images),))

    def __len__(self) -> int:
        return len(self.images)

    def select(self, classes: Sequence[int]) -> "ImageSet":
        """The images of some classes, in their order.

        Raises:
            ValueError: There are no labels, or no image of one of the classes.
        """
        labels = self.known_labels()
        missing = [c for c in classes if not bool((labels == c).any())]
        if missing or not classes:
            _checks.fail_value("classes", f"some of {labels.unique().tolist()}", missing or list(classes))
        keep = torch.isin(labels, torch.tensor(list(classes)))
        return ImageSet(self.images[keep], labels[keep])

    def draw(self, per_class: int, *, seed: int) -> "ImageSet":
        """`per_class` images of each class, drawn without replacement by `seed`, class after class.

        Raises:
            ValueError: There are no labels, or too few images of a class.
        """
        labels = self.known_labels().numpy()
        generator = np.random.default_rng(1000 + seed)
        drawn = []
        for c in np.unique(labels):
            places = np.flatnonzero(labels == c)
            _checks.integer("per_class", per_class, 1, len(places))
            drawn.append(generator.choice(places, per_class, replace=False))
        index = torch.from_numpy(np.concatenate(drawn))
        return ImageSet(self.images[index], self.known_labels()[index])

    def known_labels(self) -> Tensor:
        """The labels; a set without any is a ValueError."""
        if self.labels is None:
            _checks.fail_value("labels", "a label for every image", "none")
        return self.labels


def load_images(path: str | os.PathLike[str], *, labelled: bool = False) -> ImageSet:
    """Read images, and labels where the file has them.

    Args:
        path: ``.npz``, ``.h5`` or ``.hdf5`` with the images under ``data``, ``images`` or ``x`` and the labels under
            ``labels`` or ``y``; or ``.npy`` with images alone. Images are (N, H, W) or (N, C, H, W), uint8 or floating
            point in [0, 1], which is rounded to 1/255.
        labelled: Whether labels must be there.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, holds pickled objects (never executed), lacks a key, or an array does not
            fit; channels come before rows and columns.

    Example:
        >>> images = load_images("train.npz").images  # doctest: +SKIP
    """
    path = Path(path)
    readers = {".npz": _read_npz, ".npy": _read_npy, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
    if path.suffix not in readers:
        _checks.fail_value(str(path), "a file named " + ", ".join(readers), path.name)
    arrays = _guarded(path, readers[path.suffix])
    images = _first(arrays, _IMAGE_KEYS)
    if images is None:
        _checks.fail_value(str(path), "an array named " + " or ".join(_IMAGE_KEYS), list(arrays))
    labels = _first(arrays, _LABEL_KEYS)
    if labels is None and labelled:
        _checks.fail_value(str(path), "labels under " + " or ".join(_LABEL_KEYS), list(arrays))
    try:
        return ImageSet(as_bytes(images), None if labels is None else _as_labels(labels))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def save_images(path: str | os.PathLike[str], images: ImageSet) -> None:
    """Write a compressed ``.npz`` that `load_images` reads: ``images`` (N, H, W) or (N, C, H, W), and ``labels``."""
    pixels = images.images.numpy()
    content = {"images": pixels[:, 0] if pixels.shape[1] == 1 else pixels}
    if images.labels is not None:
        content["labels"] = images.labels.numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)  # type: ignore[arg-type]  # numpy's stub takes its flags for arrays


def _guarded(path: Path, reader: Callable[[IO[bytes]], dict[str, Any]]) -> dict[str, Any]:
    """What `reader` finds; whatever a damaged file makes it raise becomes one ValueError."""
    with path.open("rb") as file:  # a file that is missing or may not be read is an OSError with its own words
        try:
            return reader(file)
        except Exception as error:  # zlib's, zipfile's, tokenize's and others' own: there is no common class
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if "pickle" in reason:
                reason = "it holds pickled objects, which are never read"
            _checks.fail_value(str(path), f"a whole {path.suffix} file of numbers", reason)


def _read_npz(file: IO[bytes]) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as content:
        if isinstance(content, np.ndarray):
            raise ValueError("it is a single array, as .npy files hold it")
        return {key: content[key] for key in content.files if key in (*_IMAGE_KEYS, *_LABEL_KEYS)}


def _read_npy(file: IO[bytes]) -> dict[str, Any]:
    return {"images": np.lib.format.read_array(file, allow_pickle=False)}


def _read_hdf5(file: IO[bytes]) -> dict[str, Any]:
    with h5py.File(file, "r") as content:
        keys = [key for key in (*_IMAGE_KEYS, *_LABEL_KEYS) if isinstance(content.get(key), h5py.Dataset)]
        return {key: content[key][()] for key in keys}


def _first(arrays: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((arrays[key] for key in keys if key in arrays), None)


def as_bytes(array: Any) -> Tensor:
    """An array (N, H, W) or (N, C, H, W), uint8 or floats in [0, 1], as uint8 (N, C, H, W)."""
    array = np.asarray(array)
    if array.ndim not in (3, 4):
        _checks.fail_value("images", "shape (N, H, W) or (N, C, H, W)", array.shape)
    if array.ndim == 4 and array.shape[1] > _MOST_CHANNELS >= array.shape[3]:
        _checks.fail_value("images", "channels before rows and columns, (N, C, H, W)", array.shape)
    if array.dtype.kind == "f":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # NaN fails both
            _checks.fail_value("images", "floats in [0, 1]", f"values from {low:g} to {high:g}")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        _checks.fail_type("images", "uint8, or floats in [0, 1]", array.dtype)
    tensor = torch.from_numpy(np.array(array, order="C"))
    return tensor.unsqueeze(1) if tensor.dim() == 3 else tensor


def _as_labels(array: Any) -> Tensor:
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        _checks.fail_type("labels", "whole numbers", array.dtype)
    return torch.from_numpy(array.astype(np.int64))
