"""What all figures share."""

import os
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from latentcore._files import printable, replacing

# Okabe and Ito's palette, which colour-blind readers tell apart; black is left out, it draws ellipses and text
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F", "#8C564B", "#5E3C99")
# of lines, for readers who tell no colours apart
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.2)), (0, (5, 1.5, 1, 1.5)))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, which no window system knows of."""
    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Axes) -> None:
    """Leave only the spines that carry numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def literal(text: str) -> str:
    r"""A text from outside, such as a file's name, as matplotlib draws it letter by letter.

    Example:
        >>> print(literal("$x"))
        \$x
    """
    return printable(text).replace("$", r"\$")  # which would begin a formula


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure whole or not at all; the format follows from the file's name."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)
