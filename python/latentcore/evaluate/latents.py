"""Latents of some test images beside small copies of these, kept in a run's folder for its report."""

import zipfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentcore import _errors
from latentcore._files import open_regular, replacing
from latentcore.data.convert import to_unit
from latentcore.evaluate.pictures import spread

# shapes: (N, C, H, W) images, (N, L) latents, (N,) labels

_MOST = 2000  # images
_SIDE = 32  # pixels of a small copy, at most
_MOST_BYTES = 2_000_000  # of all copies together, so that a page with them stays small
_MOST_READ = 64_000_000  # bytes that a file may unpack to


class Latents(NamedTuple):
    """Some images and where they lie.

    Attributes:
        z: Latents. (N, L), float32.
        images: Small copies. (N, C, H, W), uint8.
        labels: Class numbers, or None. (N,), int64.
    """

    z: np.ndarray[Any, np.dtype[np.float32]]
    images: np.ndarray[Any, np.dtype[np.uint8]]
    labels: np.ndarray[Any, np.dtype[np.int64]] | None


def latents_path(folder: Path) -> Path:
    """Where a run folder keeps them."""
    return folder / "latents.npz"


def write_latents(folder: Path, images: Tensor, z: Tensor, labels: Tensor | None = None) -> Path:
    """Write `latents.npz` into a run's folder, from up to 2,000 of its test images.

    Args:
        folder: The run's.
        images: (N, C, H, W), uint8 or float in [0, 1]. They are made smaller where they have more than 32 pixels a
            side, and fewer where all together would be more than 2 MB.
        z: Their latents. (N, L).
        labels: Their classes. (N,).

    Returns:
        The file.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = write_latents(Path(folder), torch.rand(5, 1, 64, 64), torch.zeros(5, 2))
        ...     read_latents(path).images.shape
        (5, 1, 32, 32)
    """
    shrink = max(1.0, max(images.shape[2:]) / _SIDE)
    sides = [max(1, round(side / shrink)) for side in images.shape[2:]]
    count = min(_MOST, max(1, _MOST_BYTES // (images.shape[1] * sides[0] * sides[1])))
    shown = spread(torch.arange(len(images)), count)
    small = to_unit(images[shown])
    if shrink > 1:
        small = interpolate(small, sides, mode="area")
    arrays = {"z": z[shown].float().cpu().numpy(), "images": (small * 255).round().to(torch.uint8).cpu().numpy()}
    if labels is not None:
        arrays["labels"] = labels[shown].long().cpu().numpy()
    with replacing(latents_path(folder)) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    return latents_path(folder)


def read_latents(path: Path) -> Latents:
    """Read what `write_latents` wrote; nothing in the file is ever executed.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, or holds something else.
    """
    expected = "a file of latents as an evaluation writes it"
    with open_regular(path) as file:
        try:
            arrays = _arrays(file)
        except Exception as error:  # a damaged file can make the readers raise anything
            _errors.fail_value(str(path), expected, f"another one: {error}")
    z, images, labels = arrays.get("z"), arrays.get("images"), arrays.get("labels")
    if z is None or images is None or not _fit(z, images, labels):
        found = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
        _errors.fail_value(str(path), expected, found)
    return Latents(z, images, labels)


def _arrays(file: BinaryIO) -> dict[str, Any]:
    with zipfile.ZipFile(file) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    if size > _MOST_READ:
        raise ValueError(f"it unpacks to {size:,} bytes, more than {_MOST_READ:,}")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _fit(z: Any, images: Any, labels: Any) -> bool:
    shaped = z.ndim == 2 and images.ndim == 4 and len(z) == len(images) > 0 and z.shape[1] > 0
    typed = z.dtype == np.float32 and images.dtype == np.uint8 and images.shape[1] in (1, 3)
    named = labels is None or (labels.dtype == np.int64 and labels.shape == (len(z),))
    return bool(shaped and typed and named and images.size and np.isfinite(z).all())
