"""Pictures made of images: rows of (N, H, W) or (N, C, H, W) in [0, 1]."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import _checks
from latentcore.plots.style import new_figure

_TILE = 0.55  # inches


def image_grid(images: Tensor, columns: int, *, gap: int = 1) -> np.ndarray:
    """Lay images out in a grid, row by row: an array (height, width) or (height, width, 3) in [0, 1].

    Args:
        images: (N, H, W) or (N, C, H, W) with C 1 or 3, in [0, 1].
        columns: Images in a row; the last row is filled up with white.
        gap: White pixels between images.
    """
    images = _with_channels(images)
    _checks.integer("columns", columns, 1, 10**6)
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
    _checks.tensor("originals", originals)
    _checks.tensor("decoded", decoded)
    _checks.shape("decoded", decoded, tuple(originals.shape))
    pairs = torch.cat([originals.float(), decoded.float()])
    return _rows(pairs, len(originals), ["original", "decoded"])


def rotations(images: Tensor, angles: Sequence[float]) -> Figure:
    """Images (R, A, C, H, W): a row per image, a column per angle in degrees."""
    _checks.shape("images", images, ("R", len(angles), "C", "H", "W"))
    figure = _rows(images.flatten(0, 1), len(angles), [])
    panel = figure.axes[0]
    width = images.shape[-1] + 1
    panel.set_xticks([width * a + width / 2 - 1 for a in range(len(angles))], [f"{angle:g}°" for angle in angles])
    panel.xaxis.tick_top()
    panel.tick_params(length=0, labelsize=9)
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
        _checks.fail_value("images", "a square number of images", len(images))
    figure = new_figure(6, 6)
    panel = figure.subplots()
    panel.imshow(image_grid(_on_white(images), side, gap=0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    panel.set_axis_off()
    panel.set_title("decoded 5–95 % quantiles of the prior", fontsize=11)
    return figure


def _with_channels(images: Tensor) -> Tensor:
    _checks.tensor("images", images)
    if images.dim() == 3:
        images = images.unsqueeze(1)
    if images.dim() != 4 or images.shape[1] not in (1, 3) or not len(images):
        _checks.fail_value("images", "shape (N, H, W), (N, 1, H, W) or (N, 3, H, W), N > 0", tuple(images.shape))
    return images


def _on_white(images: Tensor) -> Tensor:
    """Grey images inverted, so that strokes are black on white; photographs as they are."""
    images = _with_channels(images)
    return 1 - images if images.shape[1] == 1 else images


def _rows(images: Tensor, columns: int, labels: list[str]) -> Figure:
    """A grid with a word beside each row."""
    rows = len(images) // columns
    height = images.shape[-2] + 1
    figure = new_figure(_TILE * columns + (0.8 if labels else 0.1), _TILE * rows + 0.3)
    panel = figure.subplots()
    panel.imshow(image_grid(_on_white(images), columns), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([height * r + height / 2 - 1 for r in range(len(labels))], labels)
    panel.tick_params(length=0, labelsize=9)
    panel.spines[:].set_visible(False)
    return figure
