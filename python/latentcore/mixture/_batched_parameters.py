"""The parameters of a batch of mixtures as its attributes say; those that were set or edited by hand are checked."""

import torch
from torch import Tensor

from latentcore import _checks
from latentcore.mixture._batched_data import check_each
from latentcore.mixture._predictions import FITTED
from latentcore.reference import MixtureParameters, covariance_shape, covariances_of, precisions_cholesky_of

# shapes: B mixtures, K components, D features

_WEIGHTS, _, _COVARIANCES, _FACTORS = FITTED


def current(kind: str, values: dict[str, Tensor], published: dict[str, Tensor] | None) -> MixtureParameters:
    """The parameters that the values, float64, stand for; as for one mixture, the newer of the last two counts.

    Args:
        kind: The covariance type.
        values: All of `FITTED`, with B in front.
        published: What they were when the batch was fitted, or None.
    """
    device = values["means_"].device
    values = {name: value.to(device) for name, value in values.items()}
    changed = {name: _edited(values[name], None if published is None else published[name]) for name in FITTED}
    if not any(bool(edited.any()) for edited in changed.values()):
        return MixtureParameters(*(values[name] for name in FITTED))
    _check(kind, values)
    weights, means, covariances, factors = (values[name] for name in FITTED)
    weights = _where(changed[_WEIGHTS], weights / weights.sum(1, keepdim=True), weights)
    newer = changed[_FACTORS], changed[_COVARIANCES] & ~changed[_FACTORS]
    if bool(newer[0].any()):
        _check_factors(kind, factors, newer[0])
        covariances = _where(newer[0], covariances_of(factors, kind), covariances)
    if bool(newer[1].any()):
        factors = _where(newer[1], _factors_of(kind, covariances, newer[1]), factors)
    return MixtureParameters(weights, means, covariances, factors)


def _edited(value: Tensor, published: Tensor | None) -> Tensor:
    """Which mixtures' numbers are others than they were. (B,)."""
    if published is None or value.device != published.device or value.shape != published.shape:
        return torch.ones(len(value), dtype=torch.bool, device=value.device)
    return (value != published).flatten(1).any(1)


def _where(chosen: Tensor, value: Tensor, other: Tensor) -> Tensor:
    """The value of the mixtures that are chosen, the other of the rest."""
    return torch.where(chosen.view(-1, *(1,) * (value.dim() - 1)), value, other)


def _check(kind: str, values: dict[str, Tensor]) -> None:
    _checks.shape("means_", values["means_"], ("B", "K", "D"))
    B, K, D = values["means_"].shape
    shapes = {"weights_": (K,), "means_": (K, D)}
    for name, value in values.items():
        _checks.shape(name, value, (B, *shapes.get(name, covariance_shape(K, D, kind))))
        check_each(name, value.isfinite().flatten(1).all(1), "finite numbers", "NaN or infinity")
    weights = values["weights_"]
    # 1e-3: a half type may have rounded them
    fine = (weights >= 0).all(1) & ((weights.sum(1) - 1).abs() <= 1e-3)
    check_each("weights_", fine, "numbers >= 0 that sum to 1", "others")


def _factors_of(kind: str, covariances: Tensor, chosen: Tensor) -> Tensor:
    factors = precisions_cholesky_of(covariances, kind)
    fine = factors.isfinite().flatten(1).all(1)
    if kind in ("full", "tied"):
        rounding = 1e-6 * covariances.abs().flatten(1).amax(1)
        fine &= (covariances - covariances.mT).abs().flatten(1).amax(1) <= rounding
    expected = "symmetric, positive definite matrices" if kind in ("full", "tied") else "positive numbers"
    check_each(_COVARIANCES, fine | ~chosen, expected, "others")
    return factors


def _check_factors(kind: str, factors: Tensor, chosen: Tensor) -> None:
    matrices = kind in ("full", "tied")
    diagonal = factors.diagonal(dim1=-2, dim2=-1) if matrices else factors
    fine = (diagonal > 0).flatten(1).all(1)
    if matrices:
        fine &= ~(factors.tril(-1) != 0).flatten(1).any(1)
    expected = "upper triangular matrices with a positive diagonal" if matrices else "positive numbers"
    check_each(_FACTORS, fine | ~chosen, expected, "others")


def copies(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `current` compares with later."""
    return {name: value.to(torch.float64, copy=True) for name, value in parameters.items()}
