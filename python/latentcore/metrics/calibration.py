"""How far probabilities of signal (label 1) are from its share.

Labels and probabilities are NumPy arrays, torch tensors or sequences.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentcore import _errors
from latentcore.metrics._binary import Floats, checked

# shapes: N events, G bins


class Reliability(NamedTuple):
    """Bins of equal width of the probability, NaN where one is empty.

    Attributes:
        probability: Mean probability of the events in the bin, (G,).
        share: Share of signal among them, (G,).
        events: Their number, (G,), int64.
    """

    probability: Floats
    share: Floats
    events: NDArray[np.int64]


def reliability(labels: Any, probabilities: Any, bins: int = 15) -> Reliability:
    """Share of signal among events with about the same probability of it, and that probability.

    Bins have equal width and their upper edge, the first one 0 too, as those of scikit-learn's `calibration_curve`,
    which leaves out empty bins and counts.

    Args:
        labels: 0 or 1. (N,).
        probabilities: Of signal, in [0, 1]. (N,).
        bins: Their number, G.

    Raises:
        TypeError: `bins` is no int.
        ValueError: The lengths differ, or a value is out of range.

    Example:
        >>> from latentcore import metrics
        >>> bins = metrics.reliability([0, 1, 1, 1], [0.1, 0.4, 0.7, 0.9], bins=2)
        >>> bins.probability.tolist(), bins.share.tolist(), bins.events.tolist()
        ([0.25, 0.8], [0.5, 1.0], [2, 2])

    Reference:
        Niculescu-Mizil and Caruana, "Predicting good probabilities with supervised learning", ICML 2005.
    """
    _errors.integer("bins", bins, 1, 10**6)
    signal, chances = checked(labels, probabilities, "probabilities", both=False)
    if not ((chances >= 0) & (chances <= 1)).all():
        _errors.fail_value("probabilities", "numbers in [0, 1]", (float(chances.min()), float(chances.max())))
    places = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], chances)
    events = np.bincount(places, minlength=bins)
    divisor = np.where(events > 0, events, np.nan)
    probability, share = (np.bincount(places, weights, bins) / divisor for weights in (chances, signal))
    return Reliability(probability, share, events)


def calibration_error(labels: Any, probabilities: Any, *, bins: int = 15) -> float:
    r"""Expected calibration error: how far probabilities are from the share of signal, over the bins of `reliability`.

    .. math::

        \sum_g \frac{N_g}{N} \, \lvert \bar p_g - \bar y_g \rvert

    Perfect probabilities that are spread evenly have one of about sqrt(bins / N) / 3 by chance.

    Args:
        labels: 0 or 1. (N,).
        probabilities: Of signal, in [0, 1]. (N,).
        bins: Number of bins.

    Raises:
        TypeError: As :func:`reliability`.
        ValueError: As :func:`reliability`.

    Example:
        >>> from latentcore import metrics
        >>> metrics.calibration_error([0, 1, 1, 1], [0.25, 0.25, 1, 1], bins=2)
        0.125

    Reference:
        Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 2.
    """
    found = reliability(labels, probabilities, bins)
    return float(np.nansum(found.events * np.abs(found.probability - found.share)) / found.events.sum())
