"""Covariances in directions of which the samples leave nothing but rounding, as where columns are collinear.

What is rounding is judged feature by feature: a sum of products of two features is known to some units of rounding of
their standard deviations, whatever their units are. So a covariance is divided by these, and what has next to no
variance there is a direction of which only rounding is known. Such a direction gets a variance that stays the same
throughout a fit: EM is then that of the other directions, whose bound falls by rounding alone. All others keep theirs.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentcore import _errors
from latentcore.reference import MixtureParameters

# shapes: D features; of variances (..., D), one for each matrix of the covariances (..., D, D)

_DOUBLE = torch.float64
# Units of float64's rounding in an eigenvalue, beside the greatest one; sums over the samples have about 3.
_UNITS = 10
# A standard deviation beside a mean that is rounded, in units of that: a sample moves by less than 1/20 of it,
_OFFSETS = 10
# as long as it is not more than that part of the samples' variance.
_MOST = 1e-2
# A feature whose standard deviation is less than 10 units of its mean's rounding has no place for one.
_LOST = 0.1
# Units of rounding beside which a variance is not steady: it changes by about 1/100 in float32, 1/10,000 in float64.
_SHAKEN = {torch.float32: 10, torch.float64: 1000}


@dataclass(frozen=True)
class Level:
    """The variances that directions without any get in one fit.

    Attributes:
        variances: Of the features: enough that the rounding of the samples' dtype, in which densities are computed,
            does not show in them; at least `reg_covar`. (D,).
        within: The features' variances in the components, (D,).
        lost: Features that are so far from 0 that there is no such variance beside their own. (D,), bool.
        dtype: Of the samples.
        reg_covar: What the M-step adds to all variances.
    """

    variances: Tensor
    within: Tensor
    lost: Tensor
    dtype: torch.dtype
    reg_covar: float

    @classmethod
    def of(cls, parameters: MixtureParameters, covariance_type: str, dtype: torch.dtype, reg_covar: float) -> "Level":
        """That of a mixture: by the variance within its components, which differs little between iterations."""
        weights, means, covariances, _ = parameters
        within = covariances.diagonal(dim1=-2, dim2=-1)
        if covariance_type == "full":
            within = weights @ within
        mean = weights @ means
        total = within + weights @ (means - mean).square()
        rounding = (torch.finfo(dtype).eps * mean).square()
        offset = (_OFFSETS**2 * rounding).minimum(_MOST * total)
        variances = (_share(within, dtype) + offset).clamp_min(reg_covar)
        # a constant column has no spread to lose
        lost = (rounding > _LOST**2 * total) & (total > 2 * reg_covar)
        return cls(variances, within, lost, dtype, reg_covar)

    def start(self, parameters: MixtureParameters, covariance_type: str) -> MixtureParameters:
        """A start with no less variance anywhere than the steps after it."""
        units = _units(parameters, parameters.means, covariance_type, self.dtype)
        units = units.maximum(2 * _share(self.within, self.dtype))
        return _freed(parameters, units, self.variances, self.reg_covar)[0]

    def step(self, parameters: MixtureParameters, means: Tensor, covariance_type: str) -> MixtureParameters:
        """The outcome of an M-step about these means, without what rounding has in it."""
        units = _units(parameters, means, covariance_type, self.dtype)
        freed, part = _freed(parameters, units, self.variances, self.reg_covar)
        if bool((part[..., self.lost] > _MOST).any()):
            limit = _LOST / torch.finfo(self.dtype).eps
            _errors.fail_value(
                "X",
                f"collinear columns not farther from 0 than {limit:.0e} times their spread",
                f"some of which {str(self.dtype).removeprefix('torch.')} leaves too little; subtract their means",
            )
        return freed


def mended(
    parameters: MixtureParameters, means: Tensor, covariance_type: str, dtype: torch.dtype, reg_covar: float
) -> MixtureParameters:
    """The outcome of one M-step alone, about these means, with rounding's own variance where there is no more."""
    units = _units(parameters, means, covariance_type, dtype)
    return _freed(parameters, units, units.clamp_min(reg_covar), reg_covar)[0]


def is_lost(parameters: MixtureParameters, covariance_type: str, dtype: torch.dtype) -> bool:
    """Whether what a feature adds to those before it, as the factors have it, is but rounding in any component."""
    return bool((_added(parameters) < _units(parameters, parameters.means, covariance_type, dtype)).any())


def is_shaken(parameters: MixtureParameters, dtype: torch.dtype, reg_covar: float) -> bool:
    """Whether a feature adds not much more than `reg_covar`, and rounding changes that so much that densities tell."""
    return bool(((_added(parameters) < 30 * reg_covar) & _may_shake(parameters, dtype, reg_covar)).any())


def may_fall(parameters: MixtureParameters, dtype: torch.dtype, reg_covar: float) -> bool:
    """Whether rounding changes a variance of `reg_covar` so much that densities tell."""
    return bool(_may_shake(parameters, dtype, reg_covar).any())


def _added(parameters: MixtureParameters) -> Tensor:
    """The variance of every feature that those before it do not explain, by the factors."""
    return parameters.precisions_cholesky.diagonal(dim1=-2, dim2=-1).square().reciprocal()


def _may_shake(parameters: MixtureParameters, dtype: torch.dtype, reg_covar: float) -> Tensor:
    return reg_covar < _SHAKEN[dtype] * _share(parameters.covariances.diagonal(dim1=-2, dim2=-1), dtype)


def _share(variances: Tensor, dtype: torch.dtype) -> Tensor:
    """What rounding leaves of variances: of the sums over the samples, and of the eigenvalues, which are float64.

    Errors of the sums have nothing to do with one another; an eigenvalue's is in proportion to the greatest one.
    """
    D = variances.shape[-1]
    return max(3 * math.sqrt(D) * torch.finfo(dtype).eps, _UNITS * D * torch.finfo(_DOUBLE).eps) * variances


def _units(parameters: MixtureParameters, means: Tensor, covariance_type: str, dtype: torch.dtype) -> Tensor:
    """The variances that are nothing but rounding of the samples and of their moments about `means`."""
    variances = parameters.covariances.diagonal(dim1=-2, dim2=-1)
    shifts, offsets = (parameters.means - means.double()).square(), means.double().abs()
    if covariance_type == "tied":
        shifts, offsets = (parameters.weights.unsqueeze(-1) * shifts).sum(-2), offsets.amax(-2)
    units = _share(variances + shifts, dtype) + (torch.finfo(dtype).eps / 2 * offsets).square()
    return units.clamp_min(torch.finfo(_DOUBLE).tiny)


def _freed(
    parameters: MixtureParameters, units: Tensor, level: Tensor, reg_covar: float
) -> tuple[MixtureParameters, Tensor]:
    """The mixture with the level's variance in every direction in which the samples have less than two units.

    Also how much of each feature is in these directions, from 0 to 1, (..., D). The factors come from a square root of
    the covariance, of which float64 knows twice as many digits as of the covariance itself.
    """
    weights, means, covariances, factors = parameters
    scale = units.sqrt()
    identity = torch.eye(units.shape[-1], dtype=units.dtype, device=units.device)
    of_samples = (covariances - reg_covar * identity) / (scale.unsqueeze(-1) * scale.unsqueeze(-2))
    values, vectors = torch.linalg.eigh(of_samples)
    empty = values < 2
    spread = vectors * values.masked_fill(empty, 0).sqrt().unsqueeze(-2)
    projection = (vectors * empty.unsqueeze(-2)) @ vectors.mT
    added = (identity - projection) * (reg_covar / units).sqrt().unsqueeze(-2)
    # a feature alone is known however little it varies
    most = level.minimum(covariances.diagonal(dim1=-2, dim2=-1))
    instead = projection * (most / units).sqrt().unsqueeze(-2)
    root = torch.cat([spread, added, instead], -1) * scale.unsqueeze(-1)
    upper = torch.linalg.qr(root.mT, mode="r").R
    upper = upper * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-1)
    inverse = torch.linalg.solve_triangular(upper, identity, upper=True)
    changed = empty.any(-1)[..., None, None] | ~factors.isfinite()
    freed = MixtureParameters(
        weights, means, (root @ root.mT).where(changed, covariances), inverse.where(changed, factors)
    )
    return freed, projection.diagonal(dim1=-2, dim2=-1)
