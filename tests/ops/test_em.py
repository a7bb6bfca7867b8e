"""Expectation maximisation of batches: against the loop of the plain operators and scikit-learn's own."""

import functools
import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from latentcore import reference
from latentcore.ops import gmm_em
from latentcore.testing import assert_near, relative_error

pytestmark = pytest.mark.usefixtures("backend")
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
# of the third the registers cannot sum all components at once; the last is too large for one block
SIZES = [(40, 1, 1), (90, 3, 2), (70, 9, 5), (60, 32, 3), (50, 2, 9)]


def start(N, K, D, covariance_type, *, batch=(2,), dtype=torch.float64):
    """Samples around K places, and a start nearby."""
    centres = 3 * torch.randn(*batch, K, D, dtype=dtype)
    which = torch.arange(N) % K
    x = centres[..., which, :] + torch.randn(*batch, N, D, dtype=dtype)
    shape = (*batch, *reference.covariance_shape(K, D, covariance_type))
    factors = torch.ones(shape, dtype=dtype)
    if covariance_type in ("full", "tied"):
        factors = torch.eye(D, dtype=dtype).expand(shape)
    means = centres + 0.5 * torch.randn_like(centres)
    return x, torch.full((*batch, K), 1 / K, dtype=dtype), means, factors


@functools.cache
def known(sizes, covariance_type, weighted):
    """A problem, options, and the twin's answer; never changed."""
    torch.manual_seed(0)
    arguments = start(*sizes, covariance_type)
    weight = torch.rand(2, sizes[0], dtype=torch.float64) if weighted else None
    options = {"max_iter": 6, "tol": 1e-3, "reg_covar": 1e-2, "sample_weight": weight}
    return arguments, options, reference.gmm_em(*arguments, covariance_type, **options)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_twin(covariance_type, weighted):
    for sizes in SIZES:
        arguments, options, expected = known(sizes, covariance_type, weighted)
        assert_equal(gmm_em(*arguments, covariance_type, **options), expected)


def assert_equal(actual, expected):
    assert torch.equal(actual.n_iter, expected.n_iter)
    assert torch.equal(actual.converged, expected.converged)
    for a, e in zip(actual.parameters, expected.parameters, strict=True):
        assert a.dtype == torch.float64
        assert relative_error(a, e) <= 1e-9
    assert_near(actual.lower_bounds.nan_to_num(), expected.lower_bounds.nan_to_num())


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_smaller_types_are_computed_in_float32(covariance_type, dtype):
    x, *parameters = start(80, 3, 2, covariance_type)
    x, parameters[1] = x.to(dtype), parameters[1].to(dtype)
    actual = gmm_em(x, *parameters, covariance_type, max_iter=4, tol=0.0)
    expected = reference.gmm_em(x.double(), *parameters, covariance_type, max_iter=4, tol=0.0)
    for a, e in zip(actual.parameters, expected.parameters, strict=True):
        assert relative_error(a, e) <= 1e-5
    assert relative_error(actual.lower_bounds, expected.lower_bounds) <= 1e-6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("tol", [1e-2, 0.0])
def test_equals_scikit_learns(covariance_type, tol):
    x, weights, means, factors = start(200, 3, 2, covariance_type, batch=())
    precisions = factors @ factors.mT if covariance_type in ("full", "tied") else factors.square()
    theirs = GaussianMixture(
        3,
        covariance_type=covariance_type,
        max_iter=20,
        tol=tol,
        weights_init=weights.numpy(),
        means_init=means.numpy(),
        precisions_init=precisions.numpy(),
    ).fit(x.numpy())
    ours = gmm_em(x, weights, means, factors, covariance_type, max_iter=20, tol=tol)
    assert int(ours.n_iter) == theirs.n_iter_
    assert bool(ours.converged) == theirs.converged_
    for name in ("weights", "means", "covariances", "precisions_cholesky"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, f"{name}_"), rtol=1e-8, atol=1e-10)
    assert float(ours.lower_bounds[ours.n_iter - 1]) == pytest.approx(theirs.lower_bound_, rel=1e-10)


def test_mixtures_do_not_wait_for_each_other():
    x, *parameters = start(60, 2, 2, "full", batch=(3, 2))
    parameters[1][0, 0] = x[0, 0, :2] + 5  # a start far away
    together = gmm_em(x, *parameters, max_iter=50)
    assert len(together.n_iter.unique()) > 1
    for i in range(3):
        for j in range(2):
            alone = gmm_em(x[i, j], *(p[i, j] for p in parameters), max_iter=50)
            assert torch.equal(alone.n_iter, together.n_iter[i, j])
            for a, e in zip(alone.parameters, together.parameters, strict=True):
                assert_near(a, e[i, j])
    assert bool(together.converged.all())
    for bounds, n in zip(together.lower_bounds.flatten(0, 1), together.n_iter.flatten(), strict=True):
        assert bool(bounds[:n].isfinite().all())
        assert bool(bounds[n:].isnan().all())
        assert bool((bounds[1:n].diff() > -1e-9).all())


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_mixture_stops_before_it_collapses(covariance_type):
    x, *parameters = start(40, 2, 2, covariance_type)
    x[0] = parameters[1][0] = 0.0  # all in one place: no step leaves a positive definite covariance
    found = gmm_em(x, *parameters, covariance_type, max_iter=10, reg_covar=0.0)
    assert found.n_iter[0] == 0
    assert not bool(found.converged[0])
    assert torch.equal(found.means[0], parameters[1][0])
    assert torch.equal(found.precisions_cholesky[0], parameters[2][0])
    assert bool(torch.cat([p[0].flatten() for p in found.parameters]).isfinite().all())
    assert found.n_iter[1] > 1


@pytest.mark.parametrize(("K", "D"), [(2, 3), (9, 5)])
def test_weights_of_zero_pad(K, D):
    x, *parameters = start(50, K, D, "diag", batch=(2,))
    weight = torch.ones(2, 50, dtype=torch.float64)
    weight[1, 30:] = 0
    x[1, 30:] = math.nan
    padded = gmm_em(x, *parameters, "diag", sample_weight=weight, max_iter=5)
    alone = gmm_em(x[1, :30], *(p[1] for p in parameters), "diag", max_iter=5)
    for a, e in zip(padded, alone, strict=True):
        assert_near(a[1].double().nan_to_num(), e.double().nan_to_num())


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_unit_of_weights_does_not_matter(covariance_type, dtype):
    x, *parameters = start(60, 3, 2, covariance_type, dtype=dtype)
    options = {"max_iter": 5, "tol": 0.0}
    expected = gmm_em(x, *parameters, covariance_type, **options)
    scale = torch.tensor([2.0**-34, 2.0**26], dtype=dtype)  # about 1e-10 and 1e8, without rounding
    weight = scale.unsqueeze(1).expand(2, 60)
    found = gmm_em(x, *parameters, covariance_type, sample_weight=weight, **options)
    for a, e in zip(found.parameters, expected.parameters, strict=True):
        assert relative_error(a, e) <= 1e-9


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_without_iterations_the_start_comes_back(covariance_type):
    x, *parameters = start(30, 3, 2, covariance_type)
    found = gmm_em(x, *parameters, covariance_type, max_iter=0)
    for a, e in zip((found.weights, found.means, found.precisions_cholesky), parameters, strict=True):
        assert torch.equal(a, e)
    precisions = torch.ones(()) if covariance_type in ("diag", "spherical") else torch.eye(2, dtype=torch.float64)
    assert_near(found.covariances, precisions.expand(found.covariances.shape).double())
    assert found.lower_bounds.shape == (2, 0)


def test_an_empty_batch():
    found = gmm_em(*start(5, 2, 2, "diag", batch=(0,)), "diag")
    assert found.means.shape == (0, 2, 2)
    assert found.n_iter.shape == (0,)


def test_a_great_number_of_iterations_costs_nothing():
    found = gmm_em(*start(40, 2, 2, "full"), max_iter=2000)
    assert bool(found.converged.all())
    assert found.lower_bounds.shape == (2, 2000)


# graphs and shapes are the same for both; inductor's code for the loop takes seconds to compile
@pytest.mark.parametrize("compiler", ["aot_eager", pytest.param("inductor", marks=pytest.mark.long)])
def test_compile(compiler):
    """Not as one graph: the loop looks at whether all have stopped."""
    x, *parameters = start(40, 2, 2, "full", dtype=torch.float32)
    compiled = torch.compile(lambda *a: gmm_em(*a, max_iter=3, tol=0.0), backend=compiler)(x, *parameters)
    for a, e in zip(compiled, gmm_em(x, *parameters, max_iter=3, tol=0.0), strict=True):
        assert_near(a.double(), e.double())


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        ({0: torch.zeros(2, 0, 2)}, {}, ValueError, r"x: expected shape \(\.\.\., N, D\) with N >= 1"),
        ({0: torch.zeros(2, 5, 2, dtype=torch.int64)}, {}, TypeError, "x: expected float32"),
        ({1: torch.zeros(2, 4)}, {}, ValueError, r"weights: expected shape \(2, 3\)"),
        ({}, {"max_iter": -1}, ValueError, "max_iter: expected"),
        ({}, {"tol": -1.0}, ValueError, "tol: expected a number >= 0"),
        ({}, {"reg_covar": math.nan}, ValueError, "reg_covar: expected a number >= 0"),
        ({}, {"sample_weight": torch.ones(2, 4)}, ValueError, r"sample_weight: expected shape \(2, 5\)"),
    ],
)
def test_bad_input(change, options, error, message):
    arguments = list(start(5, 3, 2, "full", dtype=torch.float32))
    for place, value in change.items():
        arguments[place] = value
    with pytest.raises(error, match=message):
        gmm_em(*arguments, **options)
