"""Pictures made of images: rows of (N, H, W) or (N, C, H, W) in [0, 1]."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from latentcore import _checks, _errors
from latentcore._files import replacing
from latentcore.plots.style import new_figure

_TILE = 0.55  # inches


def image_grid(images: Tensor, columns: int, *, gap: int = 1) -> np.ndarray:
    """Lay images out in a grid, row by row: an array (height, width) or (height, width, 3) in [0, 1].

    Args:
        images: (N, H, W) or (N, C, H, W) with C 1 or 3, in [0, 1].
        columns: Images in a row; the last row is filled up with white.
        gap: White pixels between images.
    """
    images = with_channels("images", images)
    _errors.integer("columns", columns, 1, 10**6)
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    tiles = torch.ones(rows * columns, channels, height + gap, width + gap)
    tiles[:n, :, :height, :width] = images.detach().float().cpu()
    grid = tiles.view(rows, columns, channels, height + gap, width + gap).permute(0, 3, 1, 4, 2)
    flat = grid.reshape(rows * (height + gap), columns * (width + gap), channels)
    flat = flat[: rows * (height + gap) - gap, : columns * (width + gap) - gap]
    return flat.squeeze(-1).numpy()


def reconstructions(originals: Tensor, decoded: Tensor) -> Figure:
    """Originals above their reconstructions, (N, ...) each; some ten to twenty images look best."""
    return comparison({"originals": originals, "decoded": decoded})


def comparison(rows: Mapping[str, Tensor]) -> Figure:
    """Several versions of the same images, (N, ...) each, a row per version with its name."""
    if not rows:
        _errors.fail_value("rows", "at least one version", "none")
    first = next(iter(rows.values()))
    for name, images in rows.items():
        _checks.tensor(name, images)
        _checks.shape(name, images, tuple(first.shape))
    return labelled_rows(torch.cat([images.float() for images in rows.values()]), len(first), list(rows))


def rotations(images: Tensor, angles: Sequence[float]) -> Figure:
    """Images (R, A, C, H, W): a row per image, a column per angle in degrees."""
    _checks.shape("images", images, ("R", len(angles), "C", "H", "W"))
    figure = labelled_rows(images.flatten(0, 1), len(angles), [])
    add_angles(figure, images.shape[-1], angles)
    return figure


def normal_grid(side: int = 20, low: float = 0.05, high: float = 0.95) -> Tensor:
    """Latents (side * side, 2) on quantiles of the normal prior: the first axis runs right, the second one up."""
    quantiles = torch.special.ndtri(torch.linspace(low, high, side, dtype=torch.float64)).float()
    up, right = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    return torch.stack([right, up], dim=-1).view(-1, 2)


def manifold(images: Tensor) -> Figure:
    """What `normal_grid` decodes to: a square number of images, without gaps."""
    side = round(len(images) ** 0.5)
    if side * side != len(images):
        _errors.fail_value("images", "a square number of images", len(images))
    figure = new_figure(6, 6)
    panel = figure.subplots()
    panel.imshow(image_grid(_on_white(images), side, gap=0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    panel.set_axis_off()
    panel.set_title("decoded 5–95 % quantiles of the prior", fontsize=11)
    return figure


def save_image(image: Tensor, path: str | os.PathLike[str]) -> None:
    """Write one image (C, H, W) in [0, 1], grey or RGB, pixel by pixel; PNG, WebP, BMP or JPEG by the file's name.

    Raises:
        ValueError: The shape does not fit, or the name ends otherwise.
    """
    endings = (".png", ".webp", ".bmp", ".jpg", ".jpeg")
    if Path(path).suffix.lower() not in endings:
        _errors.fail_value("path", "a name that ends in " + ", ".join(endings), str(path))
    pixels = with_channels("image", image.unsqueeze(0))[0].detach().cpu().mul(255).round().clamp(0, 255).byte()
    with replacing(path) as temporary:
        Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy()).save(temporary)


def with_channels(name: str, images: Tensor) -> Tensor:
    """The checked images as (N, C, H, W)."""
    _checks.tensor(name, images)
    if images.dim() == 3:
        images = images.unsqueeze(1)
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not len(images):
        _errors.fail_value(name, "shape (N, H, W), (N, 1, H, W) or (N, 3, H, W), N > 0", tuple(images.shape))
    return images


def _on_white(images: Tensor) -> Tensor:
    """Grey images inverted, so that strokes are black on white; photographs as they are."""
    images = with_channels("images", images)
    return 1 - images if images.shape[1] == 1 else images


def labelled_rows(images: Tensor, columns: int, labels: Sequence[str], groups: int = 1) -> Figure:
    """A grid with a word beside each row; groups of equally many rows stand apart."""
    rows = len(images) // columns
    height = images.shape[-2] + 1
    apart = images.shape[-2] // 4 if groups > 1 else 0
    beside = 0.2 + 0.065 * max(map(len, labels), default=0)
    figure = new_figure(_TILE * columns + beside, _TILE * (rows + (groups - 1) / 4) + 0.3)
    panel = figure.subplots()
    grids = [image_grid(group, columns) for group in _on_white(images).chunk(groups)]
    panel.imshow(_stacked(grids, 1 + apart), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    panel.set_anchor("NW")  # where words stand: the layout would cut them off a panel that it centres
    panel.set_xticks([])
    tops = [height * r + apart * (r * groups // rows) for r in range(len(labels))]
    panel.set_yticks([top + height / 2 - 1 for top in tops], labels)
    panel.tick_params(length=0, labelsize=9)
    panel.spines[:].set_visible(False)
    return figure


def add_angles(figure: Figure, width: int, angles: Sequence[float]) -> None:
    """Angles in degrees above the columns of a grid whose images have this width."""
    add_columns(figure, width, {column: f"{angle:g}°" for column, angle in enumerate(angles)})


def add_columns(figure: Figure, width: int, words: Mapping[int, str]) -> None:
    """Words above some columns of a grid whose images have this width."""
    panel = figure.axes[0]
    width += 1
    panel.set_xticks([width * column + width / 2 - 1 for column in words], list(words.values()))
    panel.xaxis.tick_top()
    panel.tick_params(length=0, labelsize=9)


def _stacked(grids: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Grids of one size below each other, with white rows between."""
    between = np.ones((gap, *grids[0].shape[1:]), dtype=grids[0].dtype)
    return np.concatenate([part for grid in grids for part in (between, grid)][1:])
