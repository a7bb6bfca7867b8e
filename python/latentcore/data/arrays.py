"""Images and labels in NumPy and HDF5 files."""

import errno
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _errors, _hdf5
from latentcore._files import open_regular, replacing
from latentcore.data._numpy_files import Found, read_npy, read_npz
from latentcore.data._pixels import as_labels, as_pixels, check_plain

# shapes: N images, C channels, H rows, W columns

_IMAGE_KEYS = ("data", "images", "x")
_LABEL_KEYS = ("labels", "y")
_HDF5 = (".h5", ".hdf5")
_DARK = 31  # of 255: where no byte is larger, they were meant to have fewer bits


@dataclass(frozen=True)
class ImageSet:
    """Images and, where they are known, their labels.

    Attributes:
        images: (N, C, H, W), uint8 or float32 in [0, 1].
        labels: (N,), int64, or None.
    """

    images: Tensor
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        _checks.dtype("images", self.images, (torch.uint8, torch.float32))
        check_plain("images", self.images)
        _checks.shape("images", self.images, ("N", "C", "H", "W"))
        if 0 in self.images.shape:
            _errors.fail_value("images", "at least one image of at least one pixel", tuple(self.images.shape))
        if self.images.dtype == torch.float32:
            low, high = (float(extreme) for extreme in self.images.aminmax())
            if not (low >= 0 and high <= 1):  # NaN fails both
                _errors.fail_value("images", "floats in [0, 1]", f"values from {low:g} to {high:g}")
        if self.labels is not None:
            _checks.dtype("labels", self.labels, (torch.int64,))
            check_plain("labels", self.labels)
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
            _errors.fail_value("classes", f"some of {labels.unique().tolist()}", missing or list(classes))
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
            _errors.integer("per_class", per_class, 1, len(places))
            drawn.append(generator.choice(places, per_class, replace=False))
        index = torch.from_numpy(np.concatenate(drawn))
        return ImageSet(self.images[index], self.known_labels()[index])

    def known_labels(self) -> Tensor:
        """The labels; a set without any is a ValueError."""
        if self.labels is None:
            _errors.fail_value("labels", "a label for every image", "none")
        return self.labels


def load_images(path: str | os.PathLike[str], *, labelled: bool = False, channels_last: bool | None = None) -> ImageSet:
    """Read images, and labels where the file has them.

    Args:
        path: ``.npz``, ``.h5`` or ``.hdf5`` with the images under ``data``, ``images`` or ``x`` and the labels under
            ``labels`` or ``y``; or ``.npy`` with images alone. Images are (N, H, W) or (N, C, H, W), uint8 or floating
            point in [0, 1].
        labelled: Whether labels must be there; otherwise labels that cannot be used are left out, with a warning.
        channels_last: Whether images are (N, H, W, C); False: (N, C, H, W), whatever the sizes. None: (N, C, H, W),
            and an error where the sizes look as if the channels came last.

    Returns:
        Images (N, C, H, W), and labels (N,) or None. Bytes are uint8, and so are floats that all are multiples of
        1/255; other floats are float32, or refused where that would lose an image's contrast.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no regular file, is damaged, holds pickled objects (never executed) or more than its size can
            mean, lacks a key, or an array does not fit.

    Example:
        >>> import numpy as np
        >>> from latentcore.data import load_images
        >>> np.save("colours.npy", np.full((2, 8, 8, 3), 255, dtype=np.uint8))
        >>> load_images("colours.npy", channels_last=True).images.shape
        torch.Size([2, 3, 8, 8])
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        _errors.fail_value(str(path), "a file named " + ", ".join(SUFFIXES), path.name)
    names, array = _read(path, _IMAGE_KEYS)
    if array is None:
        _errors.fail_value(str(path), "an array named " + " or ".join(_IMAGE_KEYS), names)
    with _naming(path):
        images = ImageSet(as_pixels(array, channels_last)).images
    _warn_if_dark(path, images)
    return ImageSet(images, _labels(path, len(images), labelled))


def save_images(path: str | os.PathLike[str], images: ImageSet) -> None:
    """Write a compressed ``.npz`` that `load_images` reads: ``images`` (N, H, W) or (N, C, H, W), and ``labels``."""
    pixels = images.images.numpy()
    content = {"images": pixels[:, 0] if pixels.shape[1] == 1 else pixels}
    if images.labels is not None:
        content["labels"] = images.labels.numpy()
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **content)  # type: ignore[arg-type]  # numpy's stub takes its flags for arrays


def _labels(path: Path, count: int, needed: bool) -> Tensor | None:
    """The labels of so many images; where nobody needs them, damaged ones are none."""
    try:
        names, array = _read(path, _LABEL_KEYS)
        if array is not None:
            with _naming(path):
                return as_labels(array, count)
        if needed:
            _errors.fail_value(str(path), "labels under " + " or ".join(_LABEL_KEYS), names)
    except ValueError as error:
        if needed:
            raise
        warnings.warn(f"{error}; the images are read without labels", UserWarning, stacklevel=3)
    return None


def _warn_if_dark(path: Path, images: Tensor) -> None:
    if images.dtype == torch.uint8 and 0 < (brightest := int(images.max())) <= _DARK:
        words = f"{path}: images: the largest byte is {brightest}, which is taken as {brightest}/255: nearly black"
        warnings.warn(words, UserWarning, stacklevel=3)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What does not fit is a ValueError that names the file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path, keys: Sequence[str]) -> Found:
    """What a file has under one of the keys; whatever a damaged one makes its reader raise becomes one ValueError."""
    with open_regular(path) as file:  # a file that is missing or may not be read is an OSError with its own words
        try:
            # HDF5 opens a file by its name, since the sources of a virtual data set lie beside it
            return _read_hdf5(path, keys) if path.suffix in _HDF5 else _READERS[path.suffix](file, keys)
        except MemoryError:
            raise
        except Exception as error:  # zlib's, zipfile's, tokenize's and others' own: there is no common class
            if isinstance(error, OSError) and error.errno == errno.EIO:  # the disk's: the file may be whole
                raise OSError(error.errno, error.strerror, str(path)) from error
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            if "pickle" in reason:
                reason = "it holds pickled objects, which are never read"
            _errors.fail_value(str(path), f"a whole {path.suffix} file of numbers", reason)


def _read_hdf5(path: Path, keys: Sequence[str]) -> Found:
    with _hdf5.opened(path) as content:
        names = _hdf5.names_in(content)
        parts = ((key, _hdf5.found(content, key, key)) for key in keys)
        key, data = next(((key, part) for key, part in parts if _hdf5.is_dataset(part)), ("", None))
        if data is None:
            return Found(names, None)
        # floats become bytes by way of others of their size
        return Found(names, _hdf5.read(_hdf5.checked(data, key), key, copies=3 if data.dtype.kind == "f" else 2))


_READERS: dict[str, Callable[[IO[bytes], Sequence[str]], Found]] = {
    ".npz": read_npz,
    ".npy": read_npy,
}
SUFFIXES = (*_READERS, *_HDF5)
"""Of the files that `load_images` reads."""
