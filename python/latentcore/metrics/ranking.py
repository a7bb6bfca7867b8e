"""How well scores rank signal (label 1) above background (label 0).

Labels and scores are NumPy arrays, torch tensors or sequences. Only the order of the scores counts, so that they may
be infinite.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from latentcore import _errors
from latentcore.metrics._binary import Floats, array, checked

# shapes: N events, G groups, P points of a curve


class GroupedAUC(NamedTuple):
    """Areas under the ROC curves of groups, NaN where one lacks a class.

    Attributes:
        auc: Area, (G,).
        low: Lower end of its interval, (G,).
        high: Upper end, (G,).
        events: Their number, (G,), int64.
    """

    auc: Floats
    low: Floats
    high: Floats
    events: NDArray[np.int64]


def roc_curve(labels: Any, scores: Any) -> tuple[Floats, Floats]:
    """False-positive and true-positive rates at falling thresholds, by scikit-learn; collinear points are left out.

    Equal scores pass together, so that the curve has a slanted piece there.

    Args:
        labels: 0 or 1, both present. (N,).
        scores: Any numbers but NaN. (N,).

    Returns:
        The rates, (P,) each, from 0 to 1.

    Raises:
        ValueError: The lengths differ, a label is neither 0 nor 1, a class is missing, or a score is NaN.

    Example:
        >>> from latentcore import metrics
        >>> rates = metrics.roc_curve([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8])
        >>> [rate.tolist() for rate in rates]
        [[0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0]]
    """
    signal, values = checked(labels, scores)
    false_positive, true_positive, _ = sklearn_metrics.roc_curve(signal, _ranks(values))
    return false_positive, true_positive


def roc_auc(labels: Any, scores: Any) -> float:
    r"""Area under the ROC curve, by scikit-learn: the chance that signal scores higher than background.

    .. math::

        A = P(s_1 > s_0) + P(s_1 = s_0) / 2

    Args:
        labels: 0 or 1, both present. (N,).
        scores: Any numbers but NaN. (N,).

    Raises:
        ValueError: As :func:`roc_curve`.

    Example:
        >>> from latentcore import metrics
        >>> metrics.roc_auc([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8])
        0.75

    Reference:
        Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
        Radiology 143(1), 1982.
    """
    signal, values = checked(labels, scores)
    return float(sklearn_metrics.roc_auc_score(signal, _ranks(values)))


def roc_auc_interval(
    labels: Any, scores: Any, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    r"""Confidence interval of the area under the ROC curve: percentiles of its bootstrap.

    Events are drawn again within each class, whose sizes stay, as in a test set with a given share of signal. Scores
    are sorted once. The areas are exact, ties included: with the counts :math:`c_j` of the background in a resample,

    .. math::

        A^* = \frac{1}{n_1 n_0} \sum_{i \in \text{drawn signal}}
              \Bigl( \sum_{s_j < s_i} c_j + \tfrac12 \sum_{s_j = s_i} c_j \Bigr),

    whose inner sums are cumulative: a resample costs O(N) time and memory. 1000 of 100,000 events take about a second.

    Scores that separate the classes without error give an interval without width.

    Args:
        labels: 0 or 1, both present. (N,).
        scores: Any numbers but NaN. (N,).
        level: Chance that the interval covers the true area, in (0, 1).
        resamples: Number of resamples.
        seed: Any int in [0, 2^63).

    Returns:
        Its lower and upper end.

    Raises:
        TypeError: `level` is no number, or `resamples` or `seed` no int.
        ValueError: As :func:`roc_curve`, or one of them is out of range.

    Example:
        >>> from latentcore import metrics
        >>> low, high = metrics.roc_auc_interval([0, 1, 0, 1] * 100, [0.1, 0.4, 0.5, 0.8] * 100)
        >>> low < 0.75 < high
        True

    Reference:
        Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13.
    """
    _errors.number("level", level)
    if not 0 < level < 1:
        _errors.fail_value("level", "a number in (0, 1)", level)
    _errors.integer("resamples", resamples, 1, 10**7)
    _errors.integer("seed", seed, 0, 2**63 - 1)
    signal, values = checked(labels, scores)
    areas = _bootstrap(np.sort(values[signal]), np.sort(values[~signal]), resamples, np.random.default_rng(seed))
    low, high = np.quantile(areas, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def auc_by(
    labels: Any, scores: Any, values: Any, edges: Any, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> GroupedAUC:
    """Areas under the ROC curve in groups of events, with their bootstrap intervals.

    Args:
        labels: 0 or 1. (N,).
        scores: Any numbers but NaN. (N,).
        values: What the events are grouped by. (N,).
        edges: Rising edges of the groups, (G + 1,). A group has its lower edge, and the last one its upper edge too;
            events outside of all, and those whose value is NaN, are left out.
        level: As in :func:`roc_auc_interval`.
        resamples: Likewise.
        seed: Likewise.

    Returns:
        The groups' figures.

    Raises:
        TypeError: As :func:`roc_auc_interval`.
        ValueError: As :func:`roc_auc_interval`, or a length does not fit, or the edges do not rise.

    Example:
        >>> from latentcore import metrics
        >>> groups = metrics.auc_by([0, 1, 0, 1, 1], [0.1, 0.4, 0.5, 0.2, 0.7], [1, 1, 2, 2, 3], [1, 2, 3, 4])
        >>> groups.auc.tolist(), groups.events.tolist()
        ([1.0, 0.0, nan], [2, 2, 1])
    """
    signal, ranked = checked(labels, scores, both=False)
    by, limits = array(values), array(edges)
    if by.shape != signal.shape:
        _errors.fail_value("values", f"shape {signal.shape}", by.shape)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        _errors.fail_value("edges", "at least two numbers, each above the one before", limits.tolist())
    last = len(limits) - 2
    groups = np.where(by == limits[-1], last, np.searchsorted(limits, by, "right") - 1)
    members = [groups == group for group in range(last + 1)]
    figures = np.full((3, len(members)), np.nan)
    for group, inside in enumerate(members):
        if len(np.unique(signal[inside])) == 2:
            of_group = signal[inside], ranked[inside]
            interval = roc_auc_interval(*of_group, level=level, resamples=resamples, seed=seed)
            figures[:, group] = roc_auc(*of_group), *interval
    auc, low, high = figures
    return GroupedAUC(auc, low, high, np.array([inside.sum() for inside in members]))


def background_rejection(labels: Any, scores: Any, efficiency: float) -> float:
    r"""Background events per one that passes, at the threshold that a share of the signal passes: 1 / FPR.

    The ROC curve is linear between its points: of events with the same score, which no threshold tells apart, a random
    share passes. Where several thresholds have the efficiency, the highest one counts, which lets the least background
    pass. Infinite where none passes.

    Args:
        labels: 0 or 1, both present. (N,).
        scores: Any numbers but NaN. (N,).
        efficiency: Share of the signal that passes, in (0, 1].

    Raises:
        TypeError: `efficiency` is no number.
        ValueError: As :func:`roc_curve`, or `efficiency` is out of range.

    Example:
        >>> from latentcore import metrics
        >>> [metrics.background_rejection([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8], share) for share in (0.5, 1)]
        [inf, 2.0]
    """
    _errors.number("efficiency", efficiency)
    if not 0 < efficiency <= 1:
        _errors.fail_value("efficiency", "a number in (0, 1]", efficiency)
    false_positive, true_positive = roc_curve(labels, scores)
    above = int(np.searchsorted(true_positive, efficiency))  # the first point that has it; the curve begins at 0
    piece = slice(above - 1, above + 1)
    passed = float(np.interp(efficiency, true_positive[piece], false_positive[piece]))
    return 1 / passed if passed > 0 else float("inf")


def _bootstrap(signal: Floats, background: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    """Areas (resamples,) of sorted scores drawn again."""
    below, upto = (np.searchsorted(background, signal, side) for side in ("left", "right"))
    ones, zeros = len(signal), len(background)
    cumulative = np.zeros(zeros + 1, np.int64)
    areas = np.empty(resamples)
    for resample in range(resamples):
        counts = np.bincount(generator.integers(zeros, size=zeros), minlength=zeros)
        np.cumsum(counts, out=cumulative[1:])
        twice = cumulative[below] + cumulative[upto]
        areas[resample] = twice[generator.integers(ones, size=ones)].sum() / (2 * ones * zeros)
    return areas


def _ranks(values: Floats) -> NDArray[np.intp]:
    """Scores without infinity, which scikit-learn refuses, in the same order."""
    return np.unique(values, return_inverse=True)[1]
