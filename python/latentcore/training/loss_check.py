"""Ends a training whose loss says that nothing will come of it."""

import math

from torch import Tensor

from latentcore.models.objectives import Objective

_EXPLODED = 1000  # times the loss of the first step, from which no training comes back


class LossCheck:
    """Turns means of an objective's terms into figures, and refuses those that no training comes back from.

    Args:
        objective: What the terms are of.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._first: float | None = None

    def see(self, totals: Tensor, steps: int) -> None:
        """Keep the loss of the first step that this process does; later ones are compared with it.

        Of the others this does nothing, and does not wait for the device.
        """
        if self._first is None:
            self._first = next(iter(self._objective.figures(totals / steps).values()))

    def finite(self, means: Tensor, epoch: int) -> dict[str, float]:
        """The figures.

        Raises:
            FloatingPointError: One of them is not finite.
        """
        figures = self._objective.figures(means)
        if not all(math.isfinite(value) for value in figures.values()):
            raise FloatingPointError(
                f"loss: expected finite numbers, got {figures} in epoch {epoch}; lower learning_rate"
            )
        return figures

    def sound(self, means: Tensor, epoch: int) -> dict[str, float]:
        """The figures of a training.

        Raises:
            FloatingPointError: One of them is not finite, or the loss is far above what it was at first.
        """
        figures = self.finite(means, epoch)
        loss, most = next(iter(figures.values())), _EXPLODED * max(1.0, abs(self._first or 0.0))
        if loss > most:
            raise FloatingPointError(
                f"loss: expected at most {most:.4g}, {_EXPLODED} times what it was at first, got {loss:.4g} in epoch "
                f"{epoch}; lower learning_rate"
            )
        return figures
