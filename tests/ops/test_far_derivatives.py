"""Derivatives with a graph (create_graph=True) at numbers whose squares are too great: those of the kernels, no NaN."""

import pytest
import torch

from latentcore import _native, ops
from latentcore.mixture import MixturePrior

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
FAR = [0, 3]
NEAR = [1, 2, 4, 5, 6]


def problem(kind, dtype):
    """Seven samples of which two are far away, and a mixture whose factors have entries of both signs."""
    generator = torch.Generator().manual_seed(0)
    x, means, factors = (torch.randn(s, generator=generator, dtype=dtype) for s in ((7, 3), (2, 3), (2, 3, 3)))
    factors = (torch.eye(3, dtype=dtype) + factors.triu(1)) * torch.tensor([2.0, 0.5], dtype=dtype).view(-1, 1, 1)
    factors = {
        "full": factors,
        "tied": factors[0],
        "diag": factors.diagonal(dim1=-2, dim2=-1),
        "spherical": factors[:, 0, 0],
    }[kind]
    most = torch.finfo(dtype).max
    x[0], x[3] = 0.9 * most, -0.9 * most * torch.tensor([1, -1, 1], dtype=dtype)
    return x, torch.tensor([0.4, 0.6], dtype=dtype), means, factors.contiguous()


OPERATORS = {
    "gmm_log_prob": lambda x, weights, means, factors, kind: ops.gmm_log_prob(x, means, factors, kind),
    "gmm_e_step": ops.gmm_e_step,
    "gmm_responsibilities": ops.gmm_responsibilities,
    "gmm_statistics": lambda *arguments: ops.gmm_statistics(*arguments).log_likelihood,
}


def total(results):
    """A curved function of all results that are finite, which leaves out what no component reaches."""
    results = (results,) if isinstance(results, torch.Tensor) else results
    return sum((1 + i) * r.where(r.isfinite(), 0).square().sum() for i, r in enumerate(results))


def slopes(values, tensors, weights=None, *, create_graph):
    return torch.autograd.grad(values, tensors, weights, create_graph=create_graph, materialize_grads=True)


def assert_the_same(one, other):
    """Bit for bit, NaN included."""
    torch.testing.assert_close(one.detach(), other, rtol=0, atol=0, equal_nan=True)


@every_type
@every_dtype
@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("unreached", [0.0, 1.0])
def test_they_are_the_kernels(name, covariance_type, dtype, unreached):
    """Whether what no component reaches has a weight in the result or not."""
    tensors = [t.requires_grad_() for t in problem(covariance_type, dtype)]
    found = []
    for create_graph in (False, True):
        results = OPERATORS[name](*tensors, covariance_type)
        results = (results,) if isinstance(results, torch.Tensor) else results
        weights = [r.detach().isfinite().to(dtype).clamp_min(unreached) for r in results]
        found.append(slopes(results, tensors, weights, create_graph=create_graph))
    for one, other in zip(*found, strict=True):
        assert_the_same(other, one)


@every_type
@pytest.mark.parametrize("name", OPERATORS)
def test_those_of_the_twins_are_no_nan(name, covariance_type, monkeypatch):
    """They serve without the native libraries."""
    monkeypatch.setattr(_native, "has_kernel", lambda operator, tensor: False)
    x, *others = problem(covariance_type, torch.float64)

    def found(samples):
        value, places = lambda *t: total(OPERATORS[name](*t, covariance_type)), (0, 1, 2, 3)
        return torch.func.grad(value, places)(samples, *others)

    if name == "gmm_statistics":  # one number, of all samples, which is infinite
        assert all((slope == 0).all() for slope in found(x))
        return
    assert_without_far_samples(found(x), found(x[NEAR]))
    assert (found(x)[0][FAR] == 0).all()


def assert_without_far_samples(found, expected):
    """The derivatives in the near samples and in the parameters are those without the others."""
    (of_x, *of_others), (of_near, *expected) = found, expected
    torch.testing.assert_close(of_x[NEAR], of_near)
    for one, other in zip(of_others, expected, strict=True):
        torch.testing.assert_close(one, other)


@every_type
@pytest.mark.parametrize("name", list(OPERATORS)[:3])
def test_derivatives_of_derivatives_are_those_without_the_far_samples(name, covariance_type):
    x, *others = problem(covariance_type, torch.float64)
    found = []
    for samples in (x, x[NEAR]):
        tensors = [t.clone().requires_grad_() for t in (samples, *others)]
        first = slopes(total(OPERATORS[name](*tensors, covariance_type)), tensors, create_graph=True)
        curved = sum(slope.where(slope.isfinite(), 0).square().sum() for slope in first)
        found.append(slopes(curved, tensors, create_graph=False))
    assert_without_far_samples(*found)


@every_type
def test_a_prior_has_them_too(covariance_type):
    prior = MixturePrior(2, 3, covariance_type, spread=1.0)
    tensors = [problem(covariance_type, torch.float32)[0].requires_grad_(), *prior.parameters()]
    plain, graphed = (slopes(total(prior.log_prob(tensors[0])), tensors, create_graph=g) for g in (False, True))
    for one, other in zip(graphed, plain, strict=True):
        assert_the_same(one, other)


@every_dtype
@pytest.mark.parametrize("logvar", [-1e30, -200.0, 0.0, 80.0])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_posteriors_far_from_the_prior(logvar, weight, dtype):
    """A divergence that overflows, with a weight and without."""
    mu = torch.full((3, 2), 0.5, dtype=dtype)
    mu[1, 0] = 0.9 * torch.finfo(dtype).max
    logvar = torch.full((3, 2), logvar, dtype=dtype)
    pixels = torch.zeros(3, 4, dtype=dtype)
    divergences = {
        "reparameterize_kl": lambda: ops.reparameterize_kl(mu, logvar, seed=0)[1],
        "vae_loss": lambda: ops.vae_loss(pixels, pixels, mu, logvar, reduction="none").kl,
    }
    for tensor in (mu, logvar):
        tensor.requires_grad_()
    for name, divergence in divergences.items():
        weights = torch.tensor([1.0, weight, 1.0], dtype=dtype)
        plain, graphed = (
            torch.autograd.grad(divergence(), (mu, logvar), weights, create_graph=g) for g in (False, True)
        )
        for one, other in zip(graphed, plain, strict=True):
            assert other.isfinite().all(), name
            assert_the_same(one, other)
