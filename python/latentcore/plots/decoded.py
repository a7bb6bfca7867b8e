"""Pictures of decoded latents: samples, and sums of latents."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import _errors
from latentcore.plots.films import check_films
from latentcore.plots.images import labelled_rows, with_channels
from latentcore.plots.style import new_figure

# shapes: N images, R sums, T terms

_TILE = 0.9  # inches
_BETWEEN = 0.35  # shares of an image's width and height
_BELOW = 0.1


def samples(images: Tensor, columns: int) -> Figure:
    """Images in a grid, as a decoder makes them of latents drawn from its prior.

    Args:
        images: In [0, 1]; grey ones are drawn black on white. (N, C, H, W), C 1 or 3, or (N, H, W).
        columns: Images in a row; the last row may have fewer.

    Returns:
        The figure.

    Raises:
        TypeError: `images` is no tensor, or `columns` no int.
        ValueError: The shape or the number does not fit.

    Example:
        >>> samples(torch.rand(10, 1, 28, 28), 4).axes[0].images[0].get_array().shape
        (86, 115)
    """
    images = with_channels("images", images).detach().float().cpu()
    _errors.integer("columns", columns, 1, 10**6)
    columns = min(int(columns), len(images))
    missing = -len(images) % columns
    white = torch.full((missing, *images.shape[1:]), float(images.shape[1] == 3))  # grey images will be inverted
    return labelled_rows(torch.cat([images, white]), columns, [])


def latent_arithmetic(images: Tensor, operators: Sequence[str] = "−+=", *, labels: Sequence[str] = ()) -> Figure:
    """Sums of latents as images, with the operators between them: a − b + c = d.

    Args:
        images: What the terms and, last, the result are decoded to, in [0, 1]; a row per sum. (R, T, C, H, W), C 1
            or 3, T >= 2.
        operators: What stands between them, T - 1 signs or words.
        labels: What stands above the columns, T words; or nothing.

    Returns:
        The figure.

    Raises:
        TypeError: `images` is no tensor.
        ValueError: A shape or a number of words does not fit.

    Example:
        >>> figure = latent_arithmetic(torch.rand(1, 4, 1, 28, 28), labels=["a", "b", "c", "a − b + c"])
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['−', '+', '=']

    Reference:
        Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional generative adversarial
        networks", ICLR 2016, section 6.3.2.
    """
    check_films("images", images, "T")
    sums, terms, channels, height, width = images.shape
    if terms < 2 or channels not in (1, 3):
        _errors.fail_value("images", "shape (R, T, C, H, W), T >= 2, C 1 or 3", tuple(images.shape))
    if len(operators) != terms - 1:
        _errors.fail_value("operators", f"{terms - 1} of them, one between two images", len(operators))
    if len(labels) not in (0, terms):
        _errors.fail_value("labels", f"{terms} words", len(labels))
    across, down = (1 + _BETWEEN) * width, (1 + _BELOW) * height
    figure = new_figure(_TILE * (terms * across / width - _BETWEEN) + 0.1, _TILE * sums * down / width + 0.3)
    panel = figure.subplots()
    for row, terms_of_row in enumerate(images.detach().float().cpu()):
        for column, image in enumerate(terms_of_row):
            _add_image(panel, image, column * across, row * down)
        for column, operator in enumerate(operators):
            middle = (column * across + (1 + _BETWEEN / 2) * width, row * down + height / 2)
            panel.text(*middle, operator, ha="center", va="center", fontsize=15)
    panel.set_xlim(-0.5, (terms - 1) * across + width + 0.5)
    panel.set_ylim((sums - 1) * down + height + 0.5, -0.5)
    panel.set_xticks([column * across + width / 2 for column in range(len(labels))], list(labels))
    panel.set_yticks([])
    panel.xaxis.tick_top()
    panel.tick_params(length=0, labelsize=9)
    panel.spines[:].set_visible(False)
    return figure


def _add_image(panel: Axes, image: Tensor, left: float, top: float) -> None:
    """An image (C, H, W) whose upper left corner lies at a place, in pixels; grey ones black on white."""
    height, width = image.shape[1:]
    pixels = image.permute(1, 2, 0).squeeze(-1).clamp(0, 1).numpy()
    extent = (left, left + width, top + height, top)
    panel.imshow(pixels, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest", extent=extent)
