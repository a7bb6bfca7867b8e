"""Gaussian mixtures: log densities, responsibilities, and what an M-step needs, in one pass over the samples."""

from torch import Tensor

from latentcore import _checks, _errors, _native, reference
from latentcore.ops import _mixture_gradients as _gradients
from latentcore.ops._autocast import under_autocast
from latentcore.ops._transformed import is_tracked
from latentcore.reference import MixtureStatistics

# shapes: (..., N, D) samples, (..., K, D) means, K components; precisions_cholesky as scikit-learn has it, i.e.
# full (..., K, D, D), tied (..., D, D), diag (..., K, D), spherical (..., K)

# what the shared memory of a card holds
_MOST_FEATURES_ON_CUDA = 160


@under_autocast("x", "means", "precisions_cholesky")
def gmm_log_prob(x: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str = "full") -> Tensor:
    r"""Log densities of samples under each of K Gaussians.

    .. math::

        \log N(x_n \mid \mu_k, P_k) = \sum_j \log P_{k,jj} - \tfrac{D}{2} \log 2\pi
            - \tfrac12 \, \lVert P_k^\top (x_n - \mu_k) \rVert^2

    The precision (the inverse covariance) of component k is :math:`P_k P_k^\top` with :math:`P_k` upper triangular, as
    scikit-learn's ``precisions_cholesky_`` has it; what stands below the diagonal is not read. A diagonal entry of 0
    or less gives -inf or NaN: values are not checked. A sample so far away that its squared distance overflows, at
    infinity too, has log density -inf; only what is NaN itself gives NaN.

    Args:
        x: Samples. (..., N, D), D >= 1, float32, float64, float16 or bfloat16.
        means: Means. (..., K, D), K >= 1, with the leading dimensions, dtype and device of ``x``.
        precisions_cholesky: Cholesky factors of the precisions, in units of one over those of ``x``: full
            (..., K, D, D), tied (..., D, D), diag (..., K, D), spherical (..., K). Dtype and device of ``x``.
        covariance_type: "full", "tied" (one matrix for all), "diag" or "spherical" (one number per component).

    Returns:
        Log densities in nats, (..., N, K), float32 (float64 for float64 input), differentiable in all three tensors.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape, a device or ``covariance_type`` is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import gmm_log_prob
        >>> gmm_log_prob(torch.zeros(1, 2), torch.zeros(3, 2), torch.ones(3), "spherical")
        tensor([[-1.8379, -1.8379, -1.8379]])

    Reference:
        Bishop, "Pattern recognition and machine learning", 2006, section 9.2.
        Pedregosa et al., "Scikit-learn: machine learning in Python", JMLR 2011, sklearn.mixture.
    """
    check_mixture(x, None, means, precisions_cholesky, covariance_type)
    if not fits_kernel("gmm_log_prob", x):
        return reference.gmm_log_prob(x, means, precisions_cholesky, covariance_type)
    log_prob: Tensor = _gradients.log_prob(x, means, precisions_cholesky, covariance_type)
    return log_prob


@under_autocast("x", "weights", "means", "precisions_cholesky")
def gmm_e_step(
    x: Tensor, weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str = "full"
) -> tuple[Tensor, Tensor]:
    r"""Log likelihood of each sample under a mixture, and the logarithms of its responsibilities.

    .. math::

        \log p(x_n) = \log \sum_k w_k N(x_n \mid \mu_k, P_k), \qquad
        \log r_{nk} = \log w_k + \log N(x_n \mid \mu_k, P_k) - \log p(x_n)

    A sample that no component reaches (all densities underflow even as logarithms, or all weights are 0) has
    log likelihood -inf and all log responsibilities -inf: it belongs to no component.

    Args:
        x: Samples. (..., N, D), D >= 1, float32, float64, float16 or bfloat16.
        weights: Mixture weights, in [0, 1] with sum 1 (not checked). (..., K), dtype and device of ``x``.
        means: Means. (..., K, D), K >= 1, with the leading dimensions, dtype and device of ``x``.
        precisions_cholesky: Cholesky factors of the precisions, as in `gmm_log_prob`.
        covariance_type: "full", "tied", "diag" or "spherical".

    Returns:
        ``(log_prob_norm, log_resp)``: nats, (..., N) and (..., N, K), float32 (float64 for float64 input). Both are
        differentiable in all four tensors.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape, a device or ``covariance_type`` is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import gmm_e_step
        >>> x, means = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]])
        >>> _, log_resp = gmm_e_step(x, torch.tensor([0.5, 0.5]), means, torch.ones(2, 1), "diag")
        >>> log_resp.exp()
        tensor([[0.8808, 0.1192],
                [0.1192, 0.8808]])

    Reference:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
        Bishop, "Pattern recognition and machine learning", 2006, equation 9.23.
    """
    check_mixture(x, weights, means, precisions_cholesky, covariance_type)
    if not fits_kernel("gmm_e_step", x):
        return reference.gmm_e_step(x, weights, means, precisions_cholesky, covariance_type)
    log_prob_norm, log_resp = _gradients.e_step(x, weights, means, precisions_cholesky, covariance_type)
    return log_prob_norm, log_resp


@under_autocast("x", "weights", "means", "precisions_cholesky")
def gmm_responsibilities(
    x: Tensor, weights: Tensor, means: Tensor, precisions_cholesky: Tensor, covariance_type: str = "full"
) -> Tensor:
    r"""Responsibilities of the components of a mixture for each sample: ``gmm_e_step(...)[1].exp()`` in one pass.

    .. math::

        r_{nk} = \frac{w_k N(x_n \mid \mu_k, P_k)}{\sum_j w_j N(x_n \mid \mu_j, P_j)}

    A sample that no component reaches belongs to none: all its responsibilities are 0.

    Args:
        x: Samples. (..., N, D), as in `gmm_e_step`, and so are the other arguments.
        weights: Mixture weights. (..., K).
        means: Means. (..., K, D).
        precisions_cholesky: Cholesky factors of the precisions, as in `gmm_log_prob`.
        covariance_type: "full", "tied", "diag" or "spherical".

    Returns:
        Responsibilities in [0, 1], (..., N, K), float32 (float64 for float64 input). Differentiable in all four
        tensors.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape, a device or ``covariance_type`` is wrong.

    Example:
        >>> import torch
        >>> from latentcore.ops import gmm_responsibilities
        >>> x, means = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]])
        >>> gmm_responsibilities(x, torch.tensor([0.5, 0.5]), means, torch.ones(2, 1), "diag")
        tensor([[0.8808, 0.1192],
                [0.1192, 0.8808]])

    Reference:
        Bishop, "Pattern recognition and machine learning", 2006, equation 9.23.
    """
    check_mixture(x, weights, means, precisions_cholesky, covariance_type)
    if not fits_kernel("gmm_responsibilities", x):
        return reference.gmm_responsibilities(x, weights, means, precisions_cholesky, covariance_type)
    resp: Tensor = _gradients.responsibilities(x, weights, means, precisions_cholesky, covariance_type)
    return resp


@under_autocast("x", "weights", "means", "precisions_cholesky", "sample_weight")
def gmm_statistics(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    precisions_cholesky: Tensor,
    covariance_type: str = "full",
    *,
    sample_weight: Tensor | None = None,
) -> MixtureStatistics:
    r"""Log likelihood and the sums over samples that an M-step needs, without keeping responsibilities.

    .. math::

        L = \sum_n s_n \log p(x_n), \quad N_k = \sum_n s_n r_{nk}, \quad
        F_k = \sum_n s_n r_{nk} (x_n - \mu_k), \quad
        S_k = \sum_n s_n r_{nk} (x_n - \mu_k)(x_n - \mu_k)^\top

    with the responsibilities :math:`r_{nk}` of `gmm_e_step` and sample weights :math:`s_n`. The moments are centred on
    the means that were handed in, so that data far from the origin lose no digits; the new mean is
    :math:`\mu_k + F_k / N_k`, the new covariance :math:`S_k / N_k - (F_k / N_k)(F_k / N_k)^\top`. The result is
    bitwise the same for any number of threads, and its error does not grow with N. A sample that no component reaches
    counts in the log likelihood (-inf) only, and has no gradient; one of weight 0 counts nowhere.

    Args:
        x: Samples. (..., N, D), D >= 1, float32, float64, float16 or bfloat16.
        weights: Mixture weights, in [0, 1] with sum 1 (not checked). (..., K), dtype and device of ``x``.
        means: Means. (..., K, D), K >= 1, with the leading dimensions, dtype and device of ``x``.
        precisions_cholesky: Cholesky factors of the precisions, as in `gmm_log_prob`.
        covariance_type: "full", "tied", "diag" or "spherical".
        sample_weight: How often each sample counts, >= 0 (not checked). (..., N), dtype and device of ``x``; must not
            require a gradient. ``None`` counts each once.

    Returns:
        `MixtureStatistics`, float32 (float64 for float64 input): ``log_likelihood`` (...) in nats; ``n_k`` (..., K);
        ``first`` (..., K, D); ``second`` full (..., K, D, D), tied, summed over the components, (..., D, D), diag, the
        diagonals, (..., K, D), spherical, the traces, (..., K). ``log_likelihood`` is differentiable in ``x``,
        ``weights``, ``means`` and ``precisions_cholesky``; the others are not.

    Raises:
        TypeError: An argument is not a tensor or its dtype is not supported or not that of ``x``.
        ValueError: A shape, a device or ``covariance_type`` is wrong, or ``sample_weight`` requires a gradient.

    Example:
        >>> import torch
        >>> from latentcore.ops import gmm_statistics
        >>> x, means = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [2.0]])
        >>> statistics = gmm_statistics(x, torch.tensor([0.5, 0.5]), means, torch.ones(2, 1), "diag")
        >>> (means + statistics.first / statistics.n_k[:, None]).flatten()
        tensor([0.2384, 1.7616])

    Reference:
        Dempster, Laird and Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977.
        Bishop, "Pattern recognition and machine learning", 2006, equations 9.24 to 9.28.
    """
    check_mixture(x, weights, means, precisions_cholesky, covariance_type)
    check_sample_weight(sample_weight, x)
    if not fits_kernel("gmm_statistics", x):
        return reference.gmm_statistics(
            x, weights, means, precisions_cholesky, covariance_type, sample_weight=sample_weight
        )
    return MixtureStatistics(
        *_gradients.statistics(x, weights, means, precisions_cholesky, covariance_type, sample_weight)
    )


def fits_kernel(operator: str, x: Tensor) -> bool:
    """Whether a native kernel serves these samples; the twin does otherwise."""
    return _native.has_kernel(operator, x) and (x.device.type == "cpu" or x.shape[-1] <= _MOST_FEATURES_ON_CUDA)


def check_sample_weight(sample_weight: Tensor | None, x: Tensor) -> None:
    """`sample_weight` is None or a constant weight for every sample of x."""
    if sample_weight is None:
        return
    _checks.like("sample_weight", sample_weight, "x", x)
    _checks.shape("sample_weight", sample_weight, tuple(x.shape[:-1]))
    if sample_weight.requires_grad or is_tracked(sample_weight):
        _errors.fail_value("sample_weight", "a tensor that requires no gradient", "one that does")


def check_mixture(
    x: Tensor, weights: Tensor | None, means: Tensor, precisions_cholesky: Tensor, covariance_type: str
) -> None:
    """Samples and parameters fit each other: dtype, device and shapes."""
    _checks.floating("x", x)
    if x.dim() < 2 or x.shape[-1] == 0:
        _errors.fail_value("x", "shape (..., N, D) with D >= 1", tuple(x.shape))
    batch, dimensions = tuple(x.shape[:-2]), x.shape[-1]
    _checks.like("means", means, "x", x)
    _checks.shape("means", means, (*batch, "K", dimensions))
    components = means.shape[-2]
    if components == 0:
        _errors.fail_value("means", "K >= 1 components", 0)
    if weights is not None:
        _checks.like("weights", weights, "x", x)
        _checks.shape("weights", weights, (*batch, components))
    _errors.one_of("covariance_type", covariance_type, reference.COVARIANCE_TYPES)
    _checks.like("precisions_cholesky", precisions_cholesky, "x", x)
    factor_shape = reference.covariance_shape(components, dimensions, covariance_type)
    _checks.shape("precisions_cholesky", precisions_cholesky, (*batch, *factor_shape))
    for name, value in (("x", x), ("means", means), ("precisions_cholesky", precisions_cholesky)):
        _checks.countable(name, value)
