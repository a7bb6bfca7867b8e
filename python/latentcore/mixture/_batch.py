"""Samples made ready for E-steps: complete ones here; other files have those with gaps or with known classes."""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from latentcore.ops import gmm_e_step, gmm_responsibilities, gmm_statistics
from latentcore.reference import MixtureParameters, MixtureStatistics

# shapes: (N, D) samples, (N,) weights, (R, K, ...) parameters of R restarts


class Batch(Protocol):
    """Samples of which an M-step wants the statistics."""

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """Of every restart; the moments are centred on the means, rounded to the samples' dtype."""


def pick(parameters: MixtureParameters, index: Tensor | slice | int | None) -> MixtureParameters:
    """The restarts that `index` picks; None adds the dimension of restarts."""
    return MixtureParameters(*(value[index] for value in parameters))


def added(parts: Sequence[MixtureStatistics]) -> MixtureStatistics:
    """The statistics of all parts of the samples together, float64."""
    return MixtureStatistics(*(sum(value.double() for value in values) for values in zip(*parts, strict=True)))


class Complete:
    """Samples without gaps.

    Args:
        x: (N, D), float32 or float64.
        weight: (N,), dtype and device of x, or None.
    """

    def __init__(self, x: Tensor, weight: Tensor | None = None) -> None:
        self._x, self._weight = x, weight

    def statistics(self, parameters: MixtureParameters, covariance_type: str) -> MixtureStatistics:
        """`gmm_statistics` of every restart; they share the samples."""
        x, restarts = self._x, len(parameters.weights)
        weights, means, _, factors = (value.to(x.dtype) for value in parameters)
        weight = None if self._weight is None else self._weight.expand(restarts, -1)
        return gmm_statistics(
            x.expand(restarts, *x.shape), weights, means, factors, covariance_type, sample_weight=weight
        )

    def e_step(self, parameters: MixtureParameters, covariance_type: str) -> tuple[Tensor, Tensor]:
        """`gmm_e_step` with the parameters of one mixture, without a dimension of restarts."""
        return gmm_e_step(self._x, *self._rounded(parameters), covariance_type)

    def responsibilities(self, parameters: MixtureParameters, covariance_type: str) -> Tensor:
        """`gmm_responsibilities`, likewise."""
        return gmm_responsibilities(self._x, *self._rounded(parameters), covariance_type)

    def _rounded(self, parameters: MixtureParameters) -> tuple[Tensor, Tensor, Tensor]:
        weights, means, _, factors = (value.to(self._x.dtype) for value in parameters)
        return weights, means, factors
