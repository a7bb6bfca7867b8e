"""Crops of a calorimeter."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.plots.style import new_figure

# shapes: K classes, C channels

_DECADES = 4.0  # of a channel's values that are told apart


def class_images(images: Tensor, classes: Sequence[str], channels: Sequence[str]) -> Figure:
    """Mean images of classes: a row per channel with a scale of its own, a column per class.

    A channel without negative values has a logarithmic scale of four decades.

    Args:
        images: (K, C, H, W).
        classes: K names.
        channels: C names, with units.

    Raises:
        ValueError: A shape does not fit, or a number is not finite.

    Example:
        >>> import torch
        >>> figure = class_images(torch.rand(2, 2, 32, 32), ["photon", "electron"], ["energy", "time"])
        >>> [panel.get_title() for panel in figure.axes[:2]]
        ['photon', 'electron']
    """
    _checks.tensor("images", images)
    _checks.shape("images", images, (len(classes), len(channels), "H", "W"))
    if not bool(images.isfinite().all()):
        _errors.fail_value("images", "finite numbers", "NaN or infinity")
    pixels = np.asarray(images.detach().double().cpu())
    figure = new_figure(0.6 + 2.9 * len(classes), 0.3 + 2.6 * len(channels))
    panels = figure.subplots(len(channels), len(classes), squeeze=False)
    for row, (name, channel) in enumerate(zip(channels, pixels.swapaxes(0, 1), strict=True)):
        norm = _scale(channel)
        for panel, image, title in zip(panels[row], channel, classes, strict=True):
            shown = panel.imshow(image, norm=norm, cmap="viridis", interpolation="nearest", origin="lower")
            panel.set_facecolor(shown.get_cmap()(0.0))  # what is below a logarithmic scale
            panel.set_title(title if row == 0 else "", fontsize=11)
            panel.set_xticks([])
            panel.set_yticks([])
        figure.colorbar(shown, ax=panels[row], label=name, shrink=0.9)
    return figure


def _scale(values: np.ndarray) -> Normalize:
    """One scale for all classes of a channel."""
    low, high = float(values.min()), float(values.max())
    return LogNorm(high * 10.0**-_DECADES, high) if low >= 0 and high > 0 else Normalize(low, high)
