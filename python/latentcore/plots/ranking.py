"""Classifiers of two classes: how well their scores rank and how far their probabilities can be believed."""

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from latentcore import _errors
from latentcore.plots.style import DASHES, PALETTE, new_figure, tidy

Floats = NDArray[np.float64]

# shapes: P points of a curve, N events, G bins or groups

_GREY = "#9A9A9A"
_MARKERS = "osD^v"
_WITH_MARGIN = (-0.02, 1.02)  # points at 0 and 1 are seen whole
_APART = 0.12  # shares of a group's width between the points of two curves


def roc_curves(
    curves: Mapping[str, tuple[Any, Any]],
    *,
    xlabel: str = "false-positive rate",
    ylabel: str = "true-positive rate",
    title: str = "",
    legend_title: str = "",
) -> Figure:
    """ROC curves over the diagonal, on which scores lie that know nothing.

    Args:
        curves: Per classifier, by the name that the legend shows, its false-positive and true-positive rates in [0, 1],
            (P,) each, as `metrics.roc_curve` gives them.
        xlabel: Name of the false-positive rate.
        ylabel: Name of the true-positive rate.
        title: What stands above.
        legend_title: What stands above the names.

    Returns:
        The figure.

    Raises:
        ValueError: There is no curve, or the rates of one have different lengths or are not in [0, 1].

    Example:
        >>> from latentcore import metrics, plots
        >>> rates = metrics.roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8])
        >>> panel = plots.roc_curves({"network": rates}).axes[0]
        >>> panel.get_xlabel(), [text.get_text() for text in panel.get_legend().get_texts()]
        ('false-positive rate', ['network'])

    Reference:
        Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27(8), 2006.
    """
    if not curves:
        _errors.fail_value("curves", "at least one curve", "none")
    rates = [_rates(f"curves[{name!r}]", *pair) for name, pair in curves.items()]
    figure = new_figure(4.8, 4.8)
    panel = figure.subplots()
    panel.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
    for name, (x, y), colour, dashes in zip(curves, rates, cycle(PALETTE), cycle(DASHES), strict=False):
        panel.plot(x, y, color=colour, linewidth=1.8, linestyle=dashes, label=name)
    panel.legend(frameon=False, fontsize=9, loc="lower right", title=legend_title or None, alignment="left")
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_aspect("equal")
    _add_words(panel, xlabel, ylabel, title)
    return figure


def score_histograms(
    probabilities: Mapping[str, Any],
    *,
    bins: int = 50,
    xlabel: str = "probability of signal",
    title: str = "",
) -> Figure:
    """Histograms of the probabilities that a classifier gives the events of each class; each sums to 1.

    Args:
        probabilities: Per class, by the name that the legend shows, its events' probabilities in [0, 1]. (N,).
        bins: Bins of equal width.
        xlabel: Name of the probability.
        title: What stands above.

    Returns:
        The figure.

    Raises:
        TypeError: `bins` is no int.
        ValueError: There is no class, or one without events, or a probability is not in [0, 1].

    Example:
        >>> from latentcore import plots
        >>> figure = plots.score_histograms({"electrons": [0.6, 0.9], "photons": [0.1, 0.2, 0.7]}, bins=2)
        >>> [stairs.get_data().values.tolist() for stairs in figure.axes[0].patches[::2]]
        [[0.0, 1.0], [0.6666666666666666, 0.3333333333333333]]
    """
    if not probabilities:
        _errors.fail_value("probabilities", "at least one class", "none")
    _errors.integer("bins", bins, 1, 10**6)
    edges = np.linspace(0, 1, bins + 1)
    figure = new_figure(5.4, 3.6)
    panel = figure.subplots()
    for (name, values), colour in zip(probabilities.items(), cycle(PALETTE), strict=False):
        chances = _unit(f"probabilities[{name!r}]", values)
        shares = np.histogram(chances, edges)[0] / len(chances)
        panel.stairs(shares, edges, color=colour, alpha=0.25, fill=True)
        panel.stairs(shares, edges, color=colour, linewidth=1.5, label=name)
    _add_legend_above(figure)
    panel.set_xlim(0, 1)
    panel.set_ylim(0, None)
    _add_words(panel, xlabel, f"share of events / {1 / bins:.2g}", title)
    return figure


def reliability_diagram(
    probability: Any,
    share: Any,
    events: Any,
    *,
    xlabel: str = "mean probability of signal",
    ylabel: str = "share of signal",
    title: str = "",
) -> Figure:
    r"""The share of signal over its probability, in bins, and below the number of events in each.

    Points on the diagonal are calibrated. Bars are Wilson's intervals of one standard deviation,

    .. math::

        \frac{y + 1 / 2n \pm \sqrt{y (1 - y) / n + 1 / 4n^2}}{1 + 1 / n},

    for a share y of n events.

    Args:
        probability: Mean probabilities of the bins in [0, 1], as `metrics.reliability` gives them; NaN in empty ones.
            (G,).
        share: Shares of signal in [0, 1], likewise. (G,).
        events: Numbers of events. (G,).
        xlabel: Name of the probability.
        ylabel: Name of the share.
        title: What stands above.

    Returns:
        The figure.

    Raises:
        ValueError: The lengths differ, no bin has events, or a number is out of range.

    Example:
        >>> from latentcore import metrics, plots
        >>> figure = plots.reliability_diagram(*metrics.reliability([0, 1, 1, 1], [0.1, 0.4, 0.7, 0.9], bins=2))
        >>> [panel.get_ylabel() for panel in figure.axes]
        ['share of signal', 'events']

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22(158), 1927.
    """
    n = np.asarray(events, dtype=np.float64)
    if n.ndim != 1 or not (n > 0).any():
        _errors.fail_value("events", "bins, at least one of them with events", n.tolist())
    x, y = (_sized(name, values, len(n)) for name, values in (("probability", probability), ("share", share)))
    filled = n > 0
    x, y = _unit("probability", x[filled]), _unit("share", y[filled])
    figure = new_figure(4.8, 5.8)
    panel, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    panel.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
    _add_points(panel, x, y, *_wilson(y, n[filled]), color=PALETTE[0], marker="o")
    panel.set_xlim(*_WITH_MARGIN)
    panel.set_ylim(*_WITH_MARGIN)
    _add_words(panel, "", ylabel, title)
    below.stairs(n, np.linspace(0, 1, len(n) + 1), color=PALETTE[0], alpha=0.5, fill=True)
    below.set_ylim(0, None)
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True, steps=[1, 2, 5, 10]))
    below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _add_words(below, xlabel, "events", "")
    figure.align_ylabels()
    return figure


def auc_by_quantile(
    edges: Any,
    curves: Mapping[str, tuple[Any, Any, Any]],
    *,
    xlabel: str = "value",
    ylabel: str = "area under the ROC curve",
    title: str = "",
) -> Figure:
    """Areas under the ROC curve in groups of events.

    Vertical bars are intervals, horizontal ones span the group, in which the points of several curves stand side by
    side.

    Args:
        edges: Rising edges of the groups, in the units of the label. (G + 1,).
        curves: Per classifier, by the name that the legend shows, its areas and the lower and upper ends of their
            intervals, (G,) each, as `metrics.auc_by` gives them; a group where one is NaN has no point.
        xlabel: Name and unit of what the events are grouped by.
        ylabel: Name of the areas.
        title: What stands above.

    Returns:
        The figure.

    Raises:
        ValueError: There is no curve, a length does not fit, or the edges do not rise.

    Example:
        >>> from latentcore import metrics, plots
        >>> edges = [0, 5, 10]
        >>> groups = metrics.auc_by([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.2], [1, 3, 5, 7], edges)
        >>> plots.auc_by_quantile(edges, {"network": groups[:3]}, xlabel="cells").axes[0].get_xlabel()
        'cells'

    Reference:
        Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    if not curves:
        _errors.fail_value("curves", "at least one curve", "none")
    limits = np.asarray(edges, dtype=np.float64)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        _errors.fail_value("edges", "at least two numbers, each above the one before", limits.tolist())
    widths = np.diff(limits)
    figure = new_figure(5.8, 3.8)
    panel = figure.subplots()
    looks = zip(cycle(PALETTE), cycle(_MARKERS), strict=False)
    for index, ((name, values), (colour, marker)) in enumerate(zip(curves.items(), looks, strict=False)):
        areas, low, high = (_sized(f"curves[{name!r}]", column, len(widths)) for column in values)
        x = limits[:-1] + (0.5 + _APART * (index - (len(curves) - 1) / 2)) * widths
        panel.hlines(areas, limits[:-1], limits[1:], color=colour, linewidth=0.9, alpha=0.6)
        _add_points(panel, x, areas, low, high, color=colour, marker=marker, label=name)
    _add_legend_above(figure)
    panel.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    panel.set_axisbelow(True)
    _add_words(panel, xlabel, ylabel, title)
    return figure


def _add_points(panel: Axes, x: Floats, y: Floats, low: Floats, high: Floats, **look: Any) -> None:
    """Points with bars from low to high."""
    bars = np.maximum([y - low, high - y], 0)  # a percentile may lie beyond the point
    panel.errorbar(x, y, bars, linestyle="none", markersize=4.5, elinewidth=1.3, **look)


def _add_legend_above(figure: Figure) -> None:
    """Names in a row where no data are."""
    figure.legend(frameon=False, fontsize=9, loc="outside upper center", ncols=len(PALETTE))


def _add_words(panel: Axes, xlabel: str, ylabel: str, title: str) -> None:
    panel.set_xlabel(xlabel)
    panel.set_ylabel(ylabel)
    panel.set_title(title, fontsize=11)
    tidy(panel)


def _wilson(share: Floats, events: Floats) -> tuple[Floats, Floats]:
    """The ends of the shares' intervals of one standard deviation, (G,) each."""
    centre = (share + 0.5 / events) / (1 + 1 / events)
    half = np.sqrt(share * (1 - share) / events + 0.25 / events**2) / (1 + 1 / events)
    return centre - half, centre + half


def _rates(name: str, x: Any, y: Any) -> tuple[Floats, Floats]:
    """A curve's checked rates, (P,) each."""
    false_positive = _unit(name, x)
    return false_positive, _unit(name, _sized(name, y, len(false_positive)))


def _unit(name: str, values: Any) -> Floats:
    """At least one number, all in [0, 1]."""
    numbers: Floats = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or len(numbers) == 0:
        _errors.fail_value(name, "shape (N,), N >= 1", numbers.shape)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        _errors.fail_value(name, "numbers in [0, 1]", (float(numbers.min()), float(numbers.max())))
    return numbers


def _sized(name: str, values: Any, size: int) -> Floats:
    numbers: Floats = np.asarray(values, dtype=np.float64)
    if numbers.shape != (size,):
        _errors.fail_value(name, f"shape ({size},)", numbers.shape)
    return numbers
