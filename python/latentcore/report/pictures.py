"""Pictures as they stand in a page: encoded, no larger than need be, with words for who cannot see them."""

import base64
import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageSequence

from latentcore._files import read_bounded
from latentcore.evaluate.latents import Latents

# shapes: (N, C, H, W) images

_PLAIN = 120_000  # bytes up to which a file stands in the page as it is
_WIDEST = 1400  # pixels of a picture that is encoded anew
_MOST_PIXELS = 100_000_000  # of a picture that is read at all, all frames together
_MOST_BYTES = 64_000_000
_TYPES = {"PNG": "image/png", "GIF": "image/gif", "JPEG": "image/jpeg", "WEBP": "image/webp"}

_WORDS = {
    "losses": "Curves of the terms of the loss over the epochs",
    "reconstructions": "Test images above what the model decodes from their latents",
    "rotations": "Test images, truly rotated in steps of 30 degrees",
    "manifold": "What the model decodes over the latent plane, from the 5 % to the 95 % quantile of the prior, "
    "of the second axis given the first",
    "latents": "Latents of test images in the plane or on their first two principal axes, coloured by class; ellipses, "
    "where there are any, are one and two standard deviations of a mixture's components",
    "latents3d": "Latents of test images on their first three principal axes, coloured by class",
    "interpolation": "What the model decodes on the way from one image's latents to another's, straight and, under the "
    "prior N(0, I), along a great circle",
    "traversals": "What the model decodes along single latent axes",
    "samples": "Images decoded from samples of the prior",
    "tsne": "t-SNE of the latents of test images, coloured by class",
    "nearest": "Samples above the training images that are nearest to them in their pixels",
    "beside": "Samples above test images and, where a run was named, above the samples of this other run",
    "walk": "What is drawn along great circles through the latents",
    "epochs": "What is drawn of the same latents after every epoch",
    "arithmetic": "Mean latents of three classes added and subtracted, decoded",
    "angles": "Digits turned by twelve angles: in pixels, reconstructed, and in latent space",
    "psnr": "PSNR of turned digits over the angle, by method",
    "orbit": "Ways of latents while their images turn, on principal axes",
    "turning": "Digits turn in latent space",
    "transformed": "Scaled and moved digits: in pixels, reconstructed, and in latent space",
    "roc": "ROC curves: electron efficiency over photon efficiency",
    "scores": "Histograms of the network's electron probability, by class",
    "calibration": "Share of electrons over the network's electron probability",
    "occupancy": "Area under the ROC curve by the number of cells with energy",
}


class Picture(NamedTuple):
    """A picture: its file's name, its words, its content as a data URI, its size, and the pixels of all its frames."""

    name: str
    words: str
    uri: str
    width: int
    height: int
    pixels: int


class Sprite(NamedTuple):
    """Small images side by side in one: a data URI, how many stand in a row, and the size (width, height) of each."""

    uri: str
    columns: int
    size: tuple[int, int]


def picture(path: Path, captions: Mapping[str, str] = _WORDS, most: int = _MOST_PIXELS) -> Picture:
    """A file of a run's pictures, made ready for a page, where all its frames together have at most so many pixels.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no picture, or one of too many pixels or bytes.
    """
    content = read_bounded(path, _MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _encoded(path, captions, content, min(most, _MOST_PIXELS))
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged file can make the readers raise anything
        raise ValueError(f"{path}: expected a picture, got one that cannot be read: {error}") from None


def _encoded(path: Path, captions: Mapping[str, str], content: bytes, most: int) -> Picture:
    with Image.open(io.BytesIO(content), formats=list(_TYPES)) as image:
        frames, size = getattr(image, "n_frames", 1), image.size
        pixels = size[0] * size[1] * frames
        if pixels > most:
            raise ValueError(f"{path}: expected at most {most:,} pixels, got {size} in {frames} frames")
        image.load()
        kind = _TYPES[str(image.format)]
        if len(content) > _PLAIN:
            again = _webp(image)
            if len(again) < len(content):
                content, kind = again, "image/webp"
    return Picture(name_of(path), words_for(path, captions), data_uri(content, kind), *size, pixels)


def name_of(path: Path) -> str:
    """What a picture is called within its run."""
    return f"epochs/{path.name}" if path.parent.name == "epochs" else path.name


def words_for(path: Path, captions: Mapping[str, str] = _WORDS) -> str:
    """What can be seen in a picture, as far as its name and the captions of its run's system tell."""
    if path.parent.name == "epochs" and path.stem.isdecimal():
        done = int(path.stem[:9])
        return f"{captions.get('epochs/', 'What the model draws')}, after {done} epoch{'s' if done != 1 else ''}"
    plain = path.stem.replace("_", " ").replace("-", " ").capitalize()
    return captions.get(path.stem) or _WORDS.get(path.stem, plain)


def _webp(image: Image.Image) -> bytes:
    """The picture in fewer bytes, no wider than a page shows it; a film stays one."""
    frames = [_narrowed(frame) for frame in ImageSequence.Iterator(image)]
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 80, "method": 4}
    if len(frames) > 1:
        options |= {
            "save_all": True,
            "append_images": frames[1:],
            "duration": image.info.get("duration", 80),
            "loop": 0,
        }
    frames[0].save(buffer, "WEBP", **options)
    return buffer.getvalue()


def _narrowed(frame: Image.Image) -> Image.Image:
    plain = frame.convert("RGBA" if "transparency" in frame.info or frame.mode == "RGBA" else "RGB")
    if plain.width <= _WIDEST:
        return plain
    return plain.resize((_WIDEST, max(1, round(plain.height * _WIDEST / plain.width))), Image.Resampling.LANCZOS)


def sprite(latents: Latents) -> Sprite:
    """The small images of latents as one picture."""
    images = latents.images
    count, channels, height, width = images.shape
    columns = max(1, round((count * height / width) ** 0.5))
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, channels, height, width), np.uint8)
    sheet[:count] = images
    tiles = sheet.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    whole = tiles.reshape(rows * height, columns * width, channels)
    buffer = io.BytesIO()
    drawn = Image.fromarray(whole[:, :, 0] if channels == 1 else whole)
    drawn.save(buffer, "WEBP", quality=75, method=4)
    return Sprite(data_uri(buffer.getvalue(), "image/webp"), columns, (width, height))


def data_uri(content: bytes, kind: str) -> str:
    """The content itself as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
