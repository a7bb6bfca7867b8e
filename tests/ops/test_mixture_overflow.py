"""Samples whose squared distances no number can hold: no component reaches them, and nothing is NaN."""

import pytest
import torch

from latentcore import ops, reference
from latentcore.testing import assert_near

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
# the registers hold all of 3 features; the others are blocks
SIZES = [(2, 1), (3, 3), (2, 7), (2, 40)]


def problem(K, D, covariance_type, dtype):
    """Samples of which the first, the fourth and the last are too far away; factors with entries of both signs."""
    means = torch.randn(K, D, dtype=dtype)
    factors = torch.eye(D, dtype=dtype) + torch.triu(10 * torch.randn(K, D, D, dtype=dtype), 1)
    factors = {
        "full": factors,
        "tied": factors[0],
        "diag": factors.diagonal(dim1=-2, dim2=-1).contiguous(),
        "spherical": factors[:, 0, 0].contiguous(),
    }[covariance_type]
    x = torch.randn(20, D, dtype=dtype)
    greatest = torch.finfo(dtype).max
    x[0], x[3], x[19] = 0.9 * greatest, -0.9 * greatest * (-1.0) ** torch.arange(D), torch.inf
    return x, torch.full((K,), 1 / K, dtype=dtype), means, factors


def far_and_near(x):
    far = torch.zeros(len(x), dtype=torch.bool)
    far[[0, 3, 19]] = True
    return far, ~far


@every_type
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_samples_far_away_are_reached_by_no_component(covariance_type, dtype, simd):
    for K, D in SIZES:
        tensors = problem(K, D, covariance_type, dtype)
        far, near = far_and_near(tensors[0])
        x, weights, means, factors = tensors
        for module in (ops, reference):
            log_prob = module.gmm_log_prob(x, means, factors, covariance_type)
            norm, log_resp = module.gmm_e_step(*tensors, covariance_type)
            for value in (log_prob, norm, log_resp):
                assert (value[far] == -torch.inf).all()
                assert value[near].isfinite().all()
            assert (module.gmm_responsibilities(*tensors, covariance_type)[far] == 0).all()
            found = module.gmm_statistics(*tensors, covariance_type)
            expected = reference.gmm_statistics(x[near], weights, means, factors, covariance_type)
            assert found.log_likelihood == -torch.inf
            for a, e in zip(found[1:], expected[1:], strict=True):
                assert_near(a, e.double())


@every_type
def test_nan_stays_where_it_was_handed_in(covariance_type, simd):
    """Beside samples far away, in the same block."""
    for K, D in SIZES:
        x, weights, means, factors = problem(K, D, covariance_type, torch.float32)
        x[5, D - 1] = torch.nan
        for module in (ops, reference):
            norm, _ = module.gmm_e_step(x, weights, means, factors, covariance_type)
            assert norm.isnan().nonzero().flatten().tolist() == [5]
        unknown = means.clone()
        unknown[0, 0] = torch.nan
        for module in (ops, reference):
            log_prob = module.gmm_log_prob(x, unknown, factors, covariance_type)
            assert log_prob[:, 0].isnan().all()
            assert (log_prob[0, 1:] == -torch.inf).all()
        if D == 1 or covariance_type not in ("full", "tied"):
            continue
        factors.view(-1, D, D)[-1, 0, D - 1] = torch.nan
        for module in (ops, reference):
            assert module.gmm_log_prob(x, means, factors, covariance_type)[:, -1].isnan().all()


@every_type
def test_the_gradient_of_the_others_is_theirs(covariance_type):
    x, weights, means, factors = problem(2, 7, covariance_type, torch.float32)
    _, near = far_and_near(x)
    x.requires_grad_()
    ops.gmm_statistics(x, weights, means, factors, covariance_type).log_likelihood.backward()
    apart = x.detach()[near].requires_grad_()
    ops.gmm_statistics(apart, weights, means, factors, covariance_type).log_likelihood.backward()
    assert_near(x.grad[near], apart.grad.double())
    assert (x.grad[~near] == 0).all()
