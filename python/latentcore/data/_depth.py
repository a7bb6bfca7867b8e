"""16-bit PNG files whose values have fewer bits, as those of most cameras and detectors do."""

import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from latentcore import _errors
from latentcore._files import printable

WHITE = 2**16 - 1  # in a file that uses all its bits

_BITS = (8, 10, 12, 14, 16)  # that values are known to have
_HEADER = 26  # bytes of a PNG file up to its kind of colours; the depth is the last but one


def is_deep(file: BinaryIO) -> bool:
    """Whether a file, at its beginning, is a PNG file of 16 bits; nothing of it is used up."""
    header = file.read(_HEADER)
    file.seek(0)
    png = header[:8] == b"\x89PNG\r\n\x1a\n" and header[12:16] == b"IHDR"
    return png and len(header) == _HEADER and header[24] == 16


def values_of(image: Image.Image) -> np.ndarray[Any, Any]:
    """The values of 16-bit grey, black where the file names one that is transparent."""
    values, hidden = np.asarray(image), image.info.get("transparency")
    return np.where(values == hidden, 0, values) if isinstance(hidden, int) else values


def brightest(image: Image.Image) -> int:
    """The largest value of a 16-bit image; of colours, of which Pillow keeps the upper bytes, the largest it can be."""
    if image.mode.startswith("I"):
        return int(values_of(image).max())
    highest = int(np.asarray(image)[..., : 1 if image.mode == "LA" else 3].max())
    return 256 * highest + 255 if highest else 0


def white_of(value: int) -> int:
    """The value that is white where this one is the largest of all; black images are of 16 bits."""
    return next(2**bits - 1 for bits in _BITS if value < 2**bits) if value else WHITE


def check_white(path: Path, image: Image.Image, white: int | None) -> int:
    """What is white in a 16-bit image: what is asked for, or found, with a warning where it is not of 16 bits."""
    largest = brightest(image)
    chosen = white_of(largest) if white is None else white
    if image.mode.startswith("I"):
        if largest > chosen:
            _errors.fail_value(str(path), f"16-bit values up to {chosen}", largest)
        if white is None and chosen != WHITE:
            warn_of_bits(f"{path}: 16-bit values up to {largest}", chosen)
    elif chosen != WHITE:  # the lower bytes are gone
        words = "colours that use all 16 bits, for only their upper bytes are read; or grey without transparency"
        _errors.fail_value(str(path), words, f"values of {chosen.bit_length()} bits")
    return chosen


def warn_of_bits(what: str, white: int) -> None:
    """Say that values are not taken as of 16 bits."""
    words = f"{printable(what)} are taken as of {white.bit_length()} bits: {white} is white"
    warnings.warn(words, UserWarning, stacklevel=4)
