"""The M-step against its float64 twin and scikit-learn's."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky, _estimate_gaussian_parameters
from threads import assert_same_for_any_number_of_threads

from latentcore import ops, reference
from latentcore.ops import gmm_m_step, gmm_statistics
from latentcore.testing import assert_near

with_every_backend = pytest.mark.usefixtures("backend")
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
SIZES = [(50, 1, 1), (300, 3, 2), (400, 5, 7), (900, 2, 40)]


def statistics_of(N, K, D, covariance_type, *, batch=(), dtype=torch.float64):
    x, means = torch.randn(*batch, N, D, dtype=dtype), torch.randn(*batch, K, D, dtype=dtype)
    shape = reference.covariance_shape(K, D, covariance_type)
    factors = torch.ones(*batch, *shape, dtype=dtype)
    if covariance_type in ("full", "tied"):
        factors = torch.eye(D, dtype=dtype).expand(*batch, *shape).contiguous()
    weights = torch.full((*batch, K), 1 / K, dtype=dtype)
    statistics = reference.gmm_statistics(x, weights, means, factors, covariance_type)
    if covariance_type in ("full", "tied"):
        statistics = statistics._replace(second=(statistics.second + statistics.second.mT) / 2)
    return statistics, means, x


@with_every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_equals_the_twin(covariance_type, dtype):
    for sizes, batch in itertools.product(SIZES, [(), (3, 2), (0,)]):
        statistics, means, _ = statistics_of(*sizes, covariance_type, batch=batch, dtype=dtype)
        actual = gmm_m_step(statistics, means, covariance_type, reg_covar=0.01)
        expected = reference.gmm_m_step(statistics, means, covariance_type, reg_covar=0.01)
        for a, e in zip(actual, expected, strict=True):
            assert a.dtype == torch.float64
            assert a.is_contiguous()
            assert_near(a, e)


@pytest.mark.alone
def test_same_bits_for_any_number_of_threads():
    for covariance_type in COVARIANCE_TYPES:
        for D, batch in ((2, (2,)), (5, (300,)), (40, (2, 3))):  # the first on the calling thread
            statistics, means, _ = statistics_of(60, 3, D, covariance_type, batch=batch)
            assert_same_for_any_number_of_threads(
                lambda s=statistics, m=means, c=covariance_type: gmm_m_step(s, m, c, reg_covar=0.01)
            )


@with_every_backend
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_equals_scikit_learns(covariance_type):
    statistics, means, x = statistics_of(400, 3, 4, covariance_type)
    found = gmm_m_step(statistics, means, covariance_type)
    log_prob = reference.gmm_log_prob(x, means, torch.ones(3, dtype=torch.float64), "spherical")
    n_k, expected_means, covariances = _estimate_gaussian_parameters(
        x.numpy(), log_prob.softmax(-1).numpy(), 1e-6, covariance_type
    )
    np.testing.assert_allclose(found.weights, n_k / n_k.sum(), rtol=1e-10)
    np.testing.assert_allclose(found.means, expected_means, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.covariances, covariances, rtol=1e-9, atol=1e-12)
    factors = _compute_precision_cholesky(covariances, covariance_type)
    np.testing.assert_allclose(found.precisions_cholesky, factors, rtol=1e-8, atol=1e-12)


@with_every_backend
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_covariance_that_is_not_positive_definite_has_nan_factors(covariance_type):
    x = torch.zeros(10, 2)
    shape = reference.covariance_shape(2, 2, covariance_type)
    factors = torch.eye(2).expand(shape).contiguous() if covariance_type in ("full", "tied") else torch.ones(shape)
    statistics = gmm_statistics(x, torch.tensor([0.5, 0.5]), torch.zeros(2, 2), factors, covariance_type)
    for module in (ops, reference):
        found = module.gmm_m_step(statistics, torch.zeros(2, 2), covariance_type, reg_covar=0.0)
        assert bool(found.precisions_cholesky.isnan().all())
        assert bool((found.covariances == 0).all())


@with_every_backend
def test_a_component_without_samples_keeps_its_mean():
    statistics, means, _ = statistics_of(100, 2, 3, "full")
    empty = type(statistics)(*(torch.zeros_like(part) for part in statistics))
    found = gmm_m_step(empty, means)
    assert torch.equal(found.means, means)
    assert bool(found.precisions_cholesky.isfinite().all())


@with_every_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_the_unit_of_weights_does_not_matter(covariance_type, dtype):
    statistics, means, _ = statistics_of(60, 3, 2, covariance_type, batch=(2,), dtype=dtype)
    expected = ops.gmm_m_step(statistics, means, covariance_type, reg_covar=0.01)
    scale = torch.tensor([2.0**-34, 2.0**26], dtype=dtype)  # about 1e-10 and 1e8, without rounding
    scaled = type(statistics)(*(value * scale.view(-1, *[1] * (value.dim() - 1)) for value in statistics))
    for module in (ops, reference):
        found = module.gmm_m_step(scaled, means, covariance_type, reg_covar=0.01, mean_weight=scale)
        for a, e in zip(found, expected, strict=True):
            assert_near(a, e)
        one = type(statistics)(*(value * scale[0] for value in statistics))
        for a, e in zip(
            module.gmm_m_step(one, means, covariance_type, reg_covar=0.01, mean_weight=scale[0]), expected, strict=True
        ):
            assert_near(a, e)


@with_every_backend
def test_opcheck_and_compile():
    statistics, means, _ = statistics_of(100, 2, 3, "full", dtype=torch.float32)
    for mean_weight in ((), (torch.tensor(2.0),)):
        arguments = (*statistics[1:], means, "full", 1e-6, *mean_weight)
        torch.library.opcheck(torch.ops.latentcore.gmm_m_step, arguments)
    compiled = torch.compile(gmm_m_step, fullgraph=True)(statistics, means)
    for a, e in zip(compiled, gmm_m_step(statistics, means), strict=True):
        assert torch.equal(a, e)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s, m: (s._replace(n_k=s.n_k[:1]), m), ValueError, r"statistics\.n_k: expected shape \(2,\)"),
        (
            lambda s, m: (s._replace(second=s.second[0]), m),
            ValueError,
            r"statistics\.second: expected shape \(2, 3, 3\)",
        ),
        (lambda s, m: (s._replace(first=s.first.half()), m), TypeError, r"statistics\.first: expected float32"),
        (lambda s, m: (s, m, "full", torch.ones(2)), ValueError, r"mean_weight: expected shape \(\)"),
        (lambda s, m: (s, m, "full", torch.ones((), dtype=torch.int64)), TypeError, "mean_weight: expected float32"),
        (lambda s, m: (s, m[0]), ValueError, r"means: expected shape \(\.\.\., K, D\)"),
        (lambda s, m: (s, m, "round"), ValueError, "covariance_type: expected one of"),
    ],
)
def test_bad_input(change, error, message):
    statistics, means, _ = statistics_of(100, 2, 3, "full")
    arguments = change(statistics, means)
    options = {} if len(arguments) < 4 else {"mean_weight": arguments[3]}
    with pytest.raises(error, match=message):
        gmm_m_step(*arguments[:3], **options)
    with pytest.raises(ValueError, match="reg_covar: expected a number >= 0"):
        gmm_m_step(statistics, means, reg_covar=-1.0)
