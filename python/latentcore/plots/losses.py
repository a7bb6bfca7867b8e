"""Loss curves."""

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.figure import Figure

from latentcore import _errors
from latentcore.plots.style import PALETTE, new_figure, tidy


def loss_curves(terms: Mapping[str, Sequence[float]]) -> Figure:
    """A panel for each term of the loss, in nats per example over the epochs.

    Args:
        terms: Per term its value after every epoch, all of one length; keys are the panels' titles.
    """
    if not terms:
        _errors.fail_value("terms", "at least one term", "none")
    figure = new_figure(3.2 * len(terms), 2.8)
    panels = figure.subplots(1, len(terms), squeeze=False)[0]
    for panel, (name, values), colour in zip(panels, terms.items(), cycle(PALETTE), strict=False):
        marker = "o" if len(values) == 1 else ""  # one point makes no line
        panel.plot(range(1, len(values) + 1), values, color=colour, linewidth=2, marker=marker)
        panel.set_title(name, fontsize=11)
        panel.set_xlabel("epoch", fontsize=9)
        tidy(panel)
    panels[0].set_ylabel("nats per example", fontsize=9)
    return figure
