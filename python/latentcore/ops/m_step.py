"""The parameters of Gaussian mixtures from their statistics: the M-step of expectation maximisation."""

import torch
from torch import Tensor

from latentcore import _checks, _errors, _native, reference
from latentcore.ops._folds import in_front
from latentcore.ops._registration import register_constant
from latentcore.reference import MixtureParameters, MixtureStatistics

# shapes: (..., K, D) means, K components, D features


@torch.no_grad()
def gmm_m_step(
    statistics: MixtureStatistics,
    means: Tensor,
    covariance_type: str = "full",
    *,
    reg_covar: float = 1e-6,
    mean_weight: Tensor | None = None,
) -> MixtureParameters:
    r"""The mixture that maximises the expected log likelihood, from the statistics of `gmm_statistics`.

    .. math::

        w_k = \frac{N_k}{\sum_j N_j}, \quad \mu'_k = \mu_k + \frac{F_k}{N_k}, \quad
        \Sigma_k = \frac{S_k}{N_k} - \frac{F_k F_k^\top}{N_k^2} + \text{reg\_covar} \, I

    Everything is float64, whatever the samples are: the moments are centred, so that a covariance is never the
    difference of two large numbers, and small matrices cost nothing. A component without samples keeps its mean: as in
    scikit-learn, ten units of rounding of the statistics' dtype are added to every :math:`N_k`, here in the unit of a
    sample's weight, so that weights in another unit give the same mixture.

    Args:
        statistics: What `gmm_statistics` returned; float32 or float64. ``log_likelihood`` is not used.
        means: The means about which the moments are centred: those that `gmm_statistics` was given. (..., K, D).
        covariance_type: "full", "tied", "diag" or "spherical", as for `gmm_statistics`.
        reg_covar: What is added to the variances, >= 0, in squared units of the samples.
        mean_weight: The mean weight of the samples whose weight is not 0, where they had weights, > 0 (not checked).
            (...), or () for all mixtures, float32 or float64, device of ``means``. ``None``: 1.

    Returns:
        `MixtureParameters(weights, means, covariances, precisions_cholesky)`, float64, in scikit-learn's shapes.
        Factors of a covariance that is not positive definite are NaN. Not differentiable.

    Raises:
        TypeError: A tensor has an unsupported dtype.
        ValueError: A shape, a device, ``covariance_type`` or ``reg_covar`` is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import gmm_m_step, gmm_statistics
        >>> x, means = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]])
        >>> statistics = gmm_statistics(x, torch.tensor([0.5, 0.5]), means, torch.ones(2, 1), "diag")
        >>> gmm_m_step(statistics, means, "diag").means.flatten()
        tensor([0.2384, 1.7616], dtype=torch.float64)

    Reference:
        Bishop, "Pattern recognition and machine learning", 2006, equations 9.24 to 9.26.
    """
    _check(statistics, means, covariance_type, reg_covar, mean_weight)
    if not _native.has_kernel("gmm_m_step", means):
        return reference.gmm_m_step(statistics, means, covariance_type, reg_covar=reg_covar, mean_weight=mean_weight)
    if mean_weight is not None:
        mean_weight = mean_weight.expand(means.shape[:-2])
    return MixtureParameters(*_operator(*statistics[1:], means, covariance_type, float(reg_covar), mean_weight))


def _check(
    statistics: MixtureStatistics, means: Tensor, covariance_type: str, reg_covar: float, mean_weight: Tensor | None
) -> None:
    _checks.floating("means", means)
    if means.dim() < 2 or 0 in means.shape[-2:]:
        _errors.fail_value("means", "shape (..., K, D) with K and D >= 1", tuple(means.shape))
    _checks.countable("means", means)
    *batch, components, dimensions = means.shape
    _errors.one_of("covariance_type", covariance_type, ("full", "tied", "diag", "spherical"))
    matrices = reference.covariance_shape(components, dimensions, covariance_type)
    given = [
        ("statistics.n_k", statistics.n_k, (*batch, components)),
        ("statistics.first", statistics.first, (*batch, components, dimensions)),
        ("statistics.second", statistics.second, (*batch, *matrices)),
    ]
    if mean_weight is not None:
        given.append(("mean_weight", mean_weight, tuple(batch) if mean_weight.dim() else ()))
    for name, value, shape in given:
        _checks.dtype(name, value, (torch.float32, torch.float64))
        _checks.shape(name, value, shape)
        if value.device != means.device:
            _errors.fail_value(name, f"the device of means, {means.device}", value.device)
        _checks.countable(name, value)
    if not reg_covar >= 0:
        _errors.fail_value("reg_covar", "a number >= 0", reg_covar)


def _fake(
    n_k: Tensor,
    first: Tensor,
    second: Tensor,
    means: Tensor,
    covariance_type: str,
    reg_covar: float,
    mean_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    weights, new_means, covariances, factors = (
        torch.empty_like(like, dtype=torch.float64, memory_format=torch.contiguous_format)
        for like in (n_k, means, second, second)
    )
    return weights, new_means, covariances, factors


_operator = register_constant("gmm_m_step", _fake, in_front)
