"""Expectation maximisation of batches of Gaussian mixtures."""

from collections.abc import Callable

import torch
from torch import Tensor

from latentcore import _checks, _errors, _forks, _native, reference
from latentcore.ops import _transformed
from latentcore.ops._folds import in_front
from latentcore.ops._registration import register_fake
from latentcore.ops.m_step import gmm_m_step
from latentcore.ops.mixture import check_mixture, check_sample_weight, gmm_statistics
from latentcore.reference import MixtureFit, MixtureParameters
from latentcore.reference.em import Operators, start_of

# What the kernel takes, in which one block of threads does all iterations of a mixture. A larger mixture has the whole
# device in every iteration: it would keep one block busy for longer than an iteration's launches take.
_MOST_COMPONENTS, _MOST_FEATURES, _MOST_WORK = 32, 8, 2**17


def gmm_em(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str = "full",
    *,
    max_iter: int = 100,
    tol: float = 1e-3,
    reg_covar: float = 1e-6,
    sample_weight: Tensor | None = None,
) -> MixtureFit:
    r"""Fit a batch of Gaussian mixtures, each to samples of its own, from the parameters that are given.

    .. math::

        \theta_{t+1} = \arg\max_\theta \sum_n s_n \sum_k p(k \mid x_n, \theta_t) \log \big( w_k N(x_n \mid \mu_k,
            \Sigma_k) \big), \quad
        \ell_t = \frac{1}{\sum_n s_n} \sum_n s_n \log p(x_n \mid \theta_t)

    An iteration is `gmm_statistics` and `gmm_m_step`. A mixture stops when :math:`|\ell_t - \ell_{t-1}|` is less than
    ``tol``, or before a step that would leave it with a covariance that is not positive definite. Mixtures do not wait
    for each other; on CUDA all iterations of a small mixture (8 features, 32 components, N·K·D of 131,072 at most) are
    done by one block of threads in one kernel, without a word to the host.

    Args:
        x: Samples. (..., N, D), N and D >= 1, float32, float64, float16 or bfloat16 (computed in float32).
        weights: Mixture weights at the start, in [0, 1] with sum 1 (not checked). (..., K), floating, device of ``x``.
        means: Means at the start. (..., K, D), likewise.
        precisions_cholesky: Cholesky factors of the precisions at the start, as in `gmm_log_prob`, likewise.
        covariance_type: "full", "tied", "diag" or "spherical".
        max_iter: Greatest number of iterations, >= 0.
        tol: Least change of the mean log-likelihood that is worth another iteration, >= 0, nats; 0 runs all.
        reg_covar: What is added to the variances, >= 0, in squared units of the samples.
        sample_weight: How often each sample counts, >= 0 (not checked); 0 pads mixtures with fewer samples. (..., N),
            dtype and device of ``x``. ``None`` counts each once. Their unit does not matter.

    Returns:
        `MixtureFit(weights, means, covariances, precisions_cholesky, lower_bounds, n_iter, converged)`: float64
        parameters in scikit-learn's shapes; the mean log-likelihood before each iteration, (..., max_iter), NaN after
        the last; the number of iterations, (...), int64; and whether ``tol`` was met, (...), bool. Not differentiable.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported.
        ValueError: A shape, a device, ``covariance_type``, ``max_iter``, ``tol`` or ``reg_covar`` is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import gmm_em
        >>> x = torch.tensor([[[0.0], [1.0], [5.0], [6.0]], [[2.0], [2.2], [8.0], [8.2]]])  # two mixtures
        >>> start = torch.tensor([[[0.0], [6.0]]]).expand(2, 2, 1)
        >>> gmm_em(x, torch.full((2, 2), 0.5), start, torch.ones(2, 2), "spherical").means.round(decimals=2).flatten()
        tensor([0.5000, 5.5000, 2.1000, 8.1000], dtype=torch.float64)

    Reference:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
    """
    parameters = (weights, means, precisions_cholesky)
    _forks.check_threads()  # what comes before the kernel may have threads
    _check(x, *parameters, covariance_type, max_iter, tol, reg_covar)
    check_sample_weight(sample_weight, x)
    # the loop looks at values, which torch.func's levels hide
    fit = _peeled_fit if _native.is_peelable() else _fit
    with torch.no_grad():
        found = fit(x, *parameters, covariance_type, max_iter, float(tol), float(reg_covar), sample_weight)
        return MixtureFit(*found)


def _fit(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str,
    max_iter: int,
    tol: float,
    reg_covar: float,
    sample_weight: Tensor | None,
) -> MixtureFit:
    parameters = (weights, means, precisions_cholesky)
    N, K, D = x.shape[-2], *means.shape[-2:]
    small = K <= _MOST_COMPONENTS and D <= _MOST_FEATURES and N * K * D <= _MOST_WORK
    if small and _native.has_kernel("gmm_em", x):
        start = start_of(*parameters, covariance_type)
        *found, bounds, converged = torch.ops.latentcore.gmm_em(
            x, *start, covariance_type, max_iter, tol, reg_covar, sample_weight
        )
        return MixtureFit(*MixtureParameters(*found), bounds, bounds.isfinite().sum(-1), converged)
    return reference.gmm_em(
        x,
        *parameters,
        covariance_type,
        max_iter=max_iter,
        tol=tol,
        reg_covar=reg_covar,
        sample_weight=sample_weight,
        operators=Operators(gmm_statistics, gmm_m_step),
    )


_peeled_fit: Callable[..., tuple[Tensor, ...]] = _transformed.constant(_fit, in_front)


def _check(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str,
    max_iter: int,
    tol: float,
    reg_covar: float,
) -> None:
    _checks.floating("x", x)
    for name, value in (("weights", weights), ("means", means), ("precisions_cholesky", precisions_cholesky)):
        _checks.floating(name, value)
    check_mixture(x, weights.to(x.dtype), means.to(x.dtype), precisions_cholesky.to(x.dtype), covariance_type)
    if x.shape[-2] == 0:
        _errors.fail_value("x", "shape (..., N, D) with N >= 1", tuple(x.shape))
    _errors.integer("max_iter", max_iter, 0, 2**31 - 1)
    for name, number in (("tol", tol), ("reg_covar", reg_covar)):
        _errors.number(name, number, "a number >= 0")
        if not number >= 0:
            _errors.fail_value(name, "a number >= 0", number)


def _fake(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    covariances: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str,
    max_iter: int,
    tol: float,
    reg_covar: float,
    sample_weight: Tensor | None,
) -> tuple[Tensor, ...]:
    parameters = (weights, means, covariances, precisions_cholesky)
    batch = x.shape[:-2]
    return (
        *(torch.empty_like(value, memory_format=torch.contiguous_format) for value in parameters),
        means.new_empty((*batch, max_iter)),
        means.new_empty(batch, dtype=torch.bool),
    )


register_fake("gmm_em", _fake)
