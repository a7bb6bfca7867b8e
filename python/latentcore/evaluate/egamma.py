"""How well a network tells electrons from photons, and its pictures."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from latentcore import _errors, metrics, plots
from latentcore.data.egamma import EgammaFiles
from latentcore.data.egamma.oracle import Oracle
from latentcore.data.egamma.simulator import simulated_by
from latentcore.evaluate.pictures import save_pictures, write_table
from latentcore.training.egamma import EgammaRun

# shapes: N events, G groups of about the same number of events

Floats = NDArray[np.float64]

_SHOWN = {"network": "network", "oracle": "exact likelihood ratio"}  # names in legends
_GROUPS = 10  # deciles of the occupancy
_ONE_SIGMA = 0.6827  # level of the bars in the picture over the occupancy
_EFFICIENCIES = (50, 70, 90)  # percent of the electrons, at which photons are rejected


@dataclass(frozen=True, eq=False)
class Scored:
    """Events and what a network says of them.

    Attributes:
        labels: 0 for a photon, 1 for an electron, both present. (N,), integers.
        scores: log p(electron) - log p(photon) by the network. (N,), float64.
        occupancy: Number of the event's cells whose energy is not zero. (N,), int64.
        oracle: The exact log p(X | electron) - log p(X | photon) where the events are simulated
            (:class:`latentcore.data.egamma.oracle.Oracle`). (N,), float64, or None.

    Raises:
        ValueError: The lengths differ, or a score is NaN.

    Example:
        >>> import numpy as np
        >>> from latentcore.evaluate.egamma import Scored, figures
        >>> scored = Scored(np.array([0, 1, 0, 1]), np.array([-2.0, 1.0, 0.5, 3.0]), np.array([9, 7, 8, 8]))
        >>> found = figures(scored)
        >>> found["test_accuracy"], found["test_auc"]
        (0.75, 1.0)
    """

    labels: NDArray[np.integer[Any]]
    scores: Floats
    occupancy: NDArray[np.int64]
    oracle: Floats | None = None

    def __post_init__(self) -> None:
        for name, values in (("scores", self.scores), ("occupancy", self.occupancy), ("oracle", self.oracle)):
            if values is None:
                continue
            if values.shape != self.labels.shape:
                _errors.fail_value(name, f"shape {self.labels.shape}", values.shape)
            if np.isnan(values).any():
                _errors.fail_value(name, "no NaN", f"{int(np.isnan(values).sum())} of {len(values)}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def probabilities(self) -> Floats:
        """Of an electron, by the network. (N,)."""
        return np.exp(-np.logaddexp(0, -self.scores))

    @property
    def ranked(self) -> dict[str, Floats]:
        """Whose scores there are, and the scores."""
        return {"network": self.scores} | ({} if self.oracle is None else {"oracle": self.oracle})


def score(run: EgammaRun, files: EgammaFiles, rows: NDArray[np.int64] | None = None) -> Scored:
    """What a run says of events, and what the simulator does where it made all of the files; memory is bounded.

    Args:
        run: The trained network.
        files: Events of its size.
        rows: Which of them, sorted; None: all.
    """
    simulators = {simulated_by(file.path) for file in files.files}
    simulator = simulators.pop() if len(simulators) == 1 else None
    oracle = None if simulator is None else Oracle(simulator)
    labels, scores, occupancy, ratios = [], [], [], []
    for events, found in run.stream_scores(files, rows):
        labels.append(events.labels)
        scores.append(found)
        occupancy.append(events.images[:, 0].count_nonzero((1, 2)))
        if oracle is not None:
            ratios.append(oracle.log_likelihood_ratio(events.images.permute(0, 2, 3, 1).contiguous().numpy()))
    known, said, cells = (torch.cat(parts).numpy() for parts in (labels, scores, occupancy))
    return Scored(known, said, cells, np.concatenate(ratios) if ratios else None)


def figures(scored: Scored) -> dict[str, float]:
    """The figures of a network on test events.

    Returns:
        ``test_events``, their number; ``test_accuracy`` at a score of 0; ``test_loss``, mean cross entropy in nats;
        ``test_auc`` and the ends ``test_auc_low`` and ``test_auc_high`` of its 95 % interval; ``rejection_50``,
        ``rejection_70`` and ``rejection_90``, photons per one that passes where that percentage of the electrons does,
        their number where none passes; ``calibration_error``. With an oracle ``oracle_auc`` and ``auc_gap_oracle``, by
        which ``test_auc`` is below it.

    Raises:
        ValueError: A label is neither 0 nor 1, or a class is missing.
    """
    labels, scores = scored.labels, scored.scores
    low, high = metrics.roc_auc_interval(labels, scores)
    found = {
        "test_events": len(scored),
        "test_accuracy": metrics.classification_report(labels, scores > 0).accuracy,
        "test_loss": float(np.logaddexp(0, np.where(labels == 1, -scores, scores)).mean()),
        "test_auc": metrics.roc_auc(labels, scores),
        "test_auc_low": low,
        "test_auc_high": high,
        "calibration_error": metrics.calibration_error(labels, scored.probabilities),
    }
    photons = float((labels == 0).sum())
    for percent in _EFFICIENCIES:
        found[f"rejection_{percent}"] = min(photons, metrics.background_rejection(labels, scores, percent / 100))
    if scored.oracle is not None:
        found["oracle_auc"] = metrics.roc_auc(labels, scored.oracle)
        found["auc_gap_oracle"] = found["oracle_auc"] - found["test_auc"]
    return found


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
