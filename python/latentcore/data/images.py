"""Images in files of their own: PNG, JPEG, WebP and BMP, one at a time or a folder of them."""

import os
import warnings
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from latentcore import _checks
from latentcore.data.arrays import ImageSet

# shapes: C channels, H rows, W columns

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_MODES = {1: "L", 3: "RGB"}
_MEGAPIXELS = 50
_WHOLE = "a whole PNG, JPEG, WebP or BMP image"


def read_image(path: str | os.PathLike[str], shape: tuple[int, int, int], *, fit: bool = True) -> Tensor:
    """Read one image and bring it to a size.

    **Convention**: the image is turned as its EXIF data says, laid on black where it is transparent, made grey or
    coloured, resized bilinearly until it just covers (H, W), and cropped about its centre. An image of the right size
    and mode keeps its pixels. 16-bit grey is rounded to 8 bits.

    Args:
        path: A PNG, JPEG, WebP or BMP file, whatever its name; of a film the first frame. More than 50 megapixels
            by the file's header are refused before anything is decoded.
        shape: (C, H, W): C is 1 for grey or 3 for colours, H and W are in pixels.
        fit: Whether an image of another size is resized and cropped; otherwise it is an error.

    Returns:
        (C, H, W), uint8.

    Raises:
        OSError: The file cannot be opened.
        TypeError: ``shape`` does not hold ints.
        ValueError: The file is no such image, damaged, cut short or too large, or a size does not fit.

    Example:
        >>> from PIL import Image
        >>> from latentcore.data import read_image
        >>> Image.new("L", (4, 2), 7).save("a.png")
        >>> read_image("a.png", (1, 2, 2))
        tensor([[[7, 7],
                 [7, 7]]], dtype=torch.uint8)
    """
    path = Path(path)
    channels, height, width = _checked(shape)
    if path.exists() and not path.is_file():  # opening a pipe would wait for somebody who writes to it
        _checks.fail_value(str(path), "an image file", "a folder or a device")
    with path.open("rb") as file:  # a file that is missing or may not be read is an OSError with its own words
        image = _decoded(path, file, _MODES[channels])
    if not fit and image.size != (width, height):
        _checks.fail_value(str(path), f"{width} x {height} pixels", f"{image.width} x {image.height}")
    pixels = np.array(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).view(height, width, channels).permute(2, 0, 1).contiguous()


def load_folder(folder: str | os.PathLike[str], shape: tuple[int, int, int]) -> ImageSet:
    """Read all images of a folder and of the folders in it, each as :func:`read_image` does.

    Args:
        folder: Where the files lie: those named .png, .jpg, .jpeg, .webp or .bmp, in capitals or not. Links to files
            are read, links to folders are not followed.
        shape: (C, H, W): C is 1 for grey or 3 for colours, H and W are in pixels.

    Returns:
        Images (N, C, H, W), uint8, in the order of their sorted paths, without labels.

    Raises:
        OSError: The folder or a file cannot be opened.
        TypeError: ``shape`` does not hold ints.
        ValueError: There is no such file, or one is damaged: the first that is, by its path.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from latentcore.data import load_folder
        >>> Path("birds/small").mkdir(parents=True)
        >>> Image.new("RGB", (40, 30)).save("birds/small/wren.jpg")
        >>> load_folder("birds", (3, 28, 28)).images.shape
        torch.Size([1, 3, 28, 28])
    """
    _checked(shape)
    paths = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=_raise)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    )
    if not paths:
        _checks.fail_value(str(folder), "at least one file named " + ", ".join(_SUFFIXES), "none")
    return ImageSet(torch.stack([read_image(path, shape) for path in paths]))


def _checked(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    if len(shape) != 3 or shape[0] not in _MODES:
        _checks.fail_value("shape", "(C, H, W) with C 1 or 3", shape)
    for size in shape[1:]:
        _checks.integer("shape", size, 1, 2**15)
    return shape


def _raise(error: OSError) -> NoReturn:
    raise error  # os.walk would pass over a folder that it cannot read


def _decoded(path: Path, file: BinaryIO, mode: str) -> Image.Image:
    """The whole image, upright and in the mode; whatever a damaged file makes Pillow raise becomes one ValueError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
        if image.width * image.height > _MEGAPIXELS * 1_000_000:
            raise Image.DecompressionBombError
        return _converted(ImageOps.exif_transpose(image), mode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _checks.fail_value(str(path), f"at most {_MEGAPIXELS} megapixels", "more by the file's header")
    except UnidentifiedImageError:  # its message names a Python object, not the file
        _checks.fail_value(str(path), _WHOLE, "another content")
    except Exception as error:  # struct's, zlib's and others' own, and SyntaxError: there is no common class
        _checks.fail_value(str(path), _WHOLE, str(error).splitlines()[0] if str(error) else type(error).__name__)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip at 255
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    if image.has_transparency_data:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image.convert("RGBA"))
    return image.convert(mode)
