"""Films of images that change, as GIFs."""

import os

import torch
from PIL import Image
from torch import Tensor

from latentcore import _checks, _errors
from latentcore._files import replacing
from latentcore.plots.images import image_grid, with_channels

# shapes: R digits, T frames

_LONGEST_ROW = 6  # digits beside each other


def film(images: Tensor) -> Tensor:
    """Films of several digits side by side as one, in rows of at most six, for `save_gif`.

    Args:
        images: Frames of R digits, in [0, 1]. (R, T, C, H, W), C 1 or 3.

    Returns:
        Frames with a white pixel between the digits, on the CPU, float32. (T, C, H', W').

    Raises:
        ValueError: The shape does not fit.
        TypeError: `images` is no tensor.

    Example:
        >>> film(torch.rand(10, 24, 1, 28, 28)).shape
        torch.Size([24, 1, 57, 144])
    """
    check_films("images", images, "T")
    digits = len(images)
    rows = -(-digits // _LONGEST_ROW)
    grids = [torch.from_numpy(image_grid(frame, -(-digits // rows))) for frame in images.unbind(1)]
    frames = torch.stack(grids)
    return frames.permute(0, 3, 1, 2) if frames.dim() == 4 else frames.unsqueeze(1)


def save_gif(frames: Tensor, path: str | os.PathLike[str], *, milliseconds: int = 80, enlarge: int = 6) -> None:
    """Write frames as a GIF that repeats for ever, whole or not at all.

    Grey levels are kept exactly; a coloured frame is brought to 256 colours.

    Args:
        frames: At least two; what lies outside of [0, 1] is cut off. (T, H, W) or (T, C, H, W), C 1 or 3.
        path: The file.
        milliseconds: How long a frame lasts, 20 to 10000; GIF counts tens of them and leaves out the rest. Equal frames
            in sequence are stored as one that lasts longer.
        enlarge: Pixels of the picture along a pixel of a frame, 1 to 64.

    Raises:
        ValueError: A shape or a number does not fit, or a pixel is not finite.
        TypeError: `frames` is no tensor of floating-point numbers.

    Example:
        >>> save_gif(torch.rand(12, 28, 28), "turning.gif")
        >>> with Image.open("turning.gif") as picture:
        ...     picture.size, picture.n_frames
        ((168, 168), 12)
    """
    _checks.floating("frames", frames)
    frames = with_channels("frames", frames)
    if len(frames) < 2:
        _errors.fail_value("frames", "at least two frames", len(frames))
    if not frames.isfinite().all():
        _errors.fail_value("frames", "finite numbers", "NaN or infinity")
    _errors.integer("milliseconds", milliseconds, 20, 10_000)
    _errors.integer("enlarge", enlarge, 1, 64)
    first, *others = (_picture(frame, enlarge) for frame in frames.detach().float().cpu())
    with replacing(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0)


def check_films(name: str, images: Tensor, frames: int | str) -> None:
    """Images are (R, frames, C, H, W), none of the sizes 0."""
    _checks.tensor(name, images)
    _checks.shape(name, images, ("R", frames, "C", "H", "W"))
    if not images.numel():
        _errors.fail_value(name, "at least one pixel", tuple(images.shape))


def _picture(frame: Tensor, enlarge: int) -> Image.Image:
    """A frame (C, H, W) as a picture, each pixel a square."""
    pixels = (255 * frame.clamp(0, 1)).round().byte()
    large = pixels.repeat_interleave(enlarge, 1).repeat_interleave(enlarge, 2)
    return Image.fromarray(large.permute(1, 2, 0).squeeze(-1).numpy())
