"""Pictures of how well a network tells electrons from photons."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from latentcore import metrics, plots
from latentcore.evaluate.pictures import save_pictures, write_table
from latentcore.systems.egamma.evaluation import Floats, Scored

# shapes: N events, G groups of about the same number of events

_SHOWN = {"network": "network", "oracle": "exact likelihood ratio"}  # names in legends
_GROUPS = 10  # deciles of the occupancy
_ONE_SIGMA = 0.6827  # level of the bars in the picture over the occupancy


def write_pictures(folder: Path, scored: Scored) -> list[Path]:
    """Draw a network's pictures into a folder.

    `roc.png`, ROC curves; `scores.png`, histograms of the probability; `calibration.png`, a reliability diagram;
    `occupancy.png`, areas under the ROC curve in deciles of the occupancy, which `occupancy.csv` has as a table.

    Returns:
        The files.
    """
    edges = _deciles(scored.occupancy)
    groups = {name: _grouped(scored, scores, edges) for name, scores in scored.ranked.items()}
    drawn = {
        "roc": _roc(scored),
        "scores": _histograms(scored),
        "calibration": _calibration(scored),
        "occupancy": _occupancy(edges, groups),
    }
    return [*save_pictures(folder, drawn), write_table(folder / "occupancy.csv", _table(scored, edges, groups))]


def _roc(scored: Scored) -> Figure:
    curves = {}
    for name, scores in scored.ranked.items():
        auc = metrics.roc_auc(scored.labels, scores)
        low, high = metrics.roc_auc_interval(scored.labels, scores)
        curves[f"{_SHOWN[name]}: {auc:.3f} ({low:.3f}–{high:.3f})"] = metrics.roc_curve(scored.labels, scores)
    return plots.roc_curves(
        curves,
        xlabel="photon efficiency",
        ylabel="electron efficiency",
        title=f"{(scored.labels == 1).sum():,} electrons, {(scored.labels == 0).sum():,} photons",
        legend_title="AUC (95 % interval)",
    )


def _histograms(scored: Scored) -> Figure:
    classes = {"electrons": scored.labels == 1, "photons": scored.labels == 0}
    return plots.score_histograms(
        {f"{inside.sum():,} {name}": scored.probabilities[inside] for name, inside in classes.items()},
        xlabel="electron probability by the network",
    )


def _calibration(scored: Scored) -> Figure:
    error = metrics.calibration_error(scored.labels, scored.probabilities)
    return plots.reliability_diagram(
        *metrics.reliability(scored.labels, scored.probabilities),
        xlabel="mean electron probability by the network",
        ylabel="share of electrons",
        title=f"expected calibration error {100 * error:.1f} %",
    )


def _occupancy(edges: NDArray[np.int64], groups: dict[str, metrics.GroupedAUC]) -> Figure:
    return plots.auc_by_quantile(
        edges - 0.5,
        {_SHOWN[name]: (group.auc, group.low, group.high) for name, group in groups.items()},
        xlabel="cells with energy per event",
        ylabel="area under the ROC curve (68 % intervals)",
    )


def _deciles(occupancy: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each group begins, and one more than the highest occupancy; fewer groups where values repeat."""
    begins = np.quantile(occupancy, np.arange(_GROUPS) / _GROUPS, method="nearest")
    return np.append(np.unique(begins), occupancy.max() + 1)


def _grouped(scored: Scored, scores: Floats, edges: NDArray[np.int64]) -> metrics.GroupedAUC:
    return metrics.auc_by(scored.labels, scores, scored.occupancy, edges, level=_ONE_SIGMA)


def _table(scored: Scored, edges: NDArray[np.int64], groups: dict[str, metrics.GroupedAUC]) -> list[dict[str, Any]]:
    """A row per group: its occupancies, its events, and what the network says of them."""
    right = (scored.scores > 0) == scored.labels
    rows = []
    for place, (first, end) in enumerate(pairwise(edges)):
        inside = (scored.occupancy >= first) & (scored.occupancy < end)
        row = {
            "cells_from": first,
            "cells_to": end - 1,
            "events": inside.sum(),
            "electron_share": scored.labels[inside].mean(),
            "mean_probability": scored.probabilities[inside].mean(),
            "accuracy": right[inside].mean(),
        }
        for name, group in groups.items():
            row |= {
                f"{name}_auc": group.auc[place],
                f"{name}_auc_low": group.low[place],
                f"{name}_auc_high": group.high[place],
            }
        rows.append(row)
    return rows
