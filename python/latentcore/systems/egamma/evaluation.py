"""How well a network tells electrons from photons."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latentcore import _errors, metrics
from latentcore.data.egamma import EgammaFiles
from latentcore.data.egamma.oracle import Oracle
from latentcore.data.egamma.simulator import simulated_by
from latentcore.systems.egamma.run import EgammaRun

# shapes: N events

Floats = NDArray[np.float64]

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
        >>> from latentcore.systems.egamma.evaluation import Scored, figures
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
