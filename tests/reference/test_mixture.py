"""The twin against scikit-learn's numbers, torch.distributions and sums written out."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal

from latentcore import reference
from latentcore.testing import assert_near

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
N, K, D = 57, 4, 3


@pytest.fixture
def x():
    return torch.randn(N, D, dtype=torch.float64) * torch.tensor([1.0, 3.0, 0.3]) + 2


@pytest.fixture(params=COVARIANCE_TYPES)
def fitted(request, x):
    """scikit-learn's mixture, two iterations from random responsibilities."""
    model = GaussianMixture(K, covariance_type=request.param, max_iter=2, tol=1e3, init_params="random", random_state=0)
    return model.fit(x.numpy())


def parameters(model, dtype=torch.float64):
    arrays = model.weights_, model.means_, model.precisions_cholesky_
    return tuple(torch.from_numpy(a).to(dtype) for a in arrays)


def covariance_matrices(model):
    """(K, D, D) for every covariance type."""
    covariances = model.covariances_
    if model.covariance_type == "full":
        matrices = covariances
    elif model.covariance_type == "tied":
        matrices = np.broadcast_to(covariances, (K, D, D))
    else:
        matrices = np.eye(D) * covariances.reshape(K, 1, -1)
    return torch.from_numpy(np.ascontiguousarray(matrices))


def test_log_prob_is_the_multivariate_normal(fitted, x):
    _, means, factors = parameters(fitted)
    expected = MultivariateNormal(means, covariance_matrices(fitted)).log_prob(x[:, None])
    assert_near(reference.gmm_log_prob(x, means, factors, fitted.covariance_type), expected, tolerance=1e-10)


def test_e_step_equals_scikit_learn(fitted, x):
    log_prob_norm, log_resp = reference.gmm_e_step(x, *parameters(fitted), fitted.covariance_type)
    assert_near(log_prob_norm, torch.from_numpy(fitted.score_samples(x.numpy())), tolerance=1e-10)
    assert_near(log_resp.exp(), torch.from_numpy(fitted.predict_proba(x.numpy())), tolerance=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_the_sums_they_are_said_to_be(fitted, x, weighted):
    weights, means, factors = parameters(fitted)
    sample_weight = torch.rand(N, dtype=torch.float64) if weighted else None
    found = reference.gmm_statistics(x, weights, means, factors, fitted.covariance_type, sample_weight=sample_weight)

    log_prob_norm, log_resp = reference.gmm_e_step(x, weights, means, factors, fitted.covariance_type)
    w = torch.ones(N, dtype=torch.float64) if sample_weight is None else sample_weight
    resp, difference = log_resp.exp() * w[:, None], x[:, None] - means
    full = torch.einsum("nk,nkd,nke->kde", resp, difference, difference)
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    second = {"full": full, "tied": full.sum(0), "diag": diagonal, "spherical": diagonal.sum(-1)}
    assert_near(found.log_likelihood, (w * log_prob_norm).sum())
    assert_near(found.n_k, resp.sum(0))
    assert_near(found.first, torch.einsum("nk,nkd->kd", resp, difference))
    assert_near(found.second, second[fitted.covariance_type])


def test_leading_batch_dimensions(fitted, x):
    weights, means, factors = parameters(fitted)
    xs = torch.stack([x, x.flip(0) + 1, x * 0.5]).view(3, 1, N, D)
    batch = [t.expand(3, 1, *t.shape) for t in (weights, means, factors)]
    log_prob = reference.gmm_log_prob(xs, *batch[1:], fitted.covariance_type)
    norm, log_resp = reference.gmm_e_step(xs, *batch, fitted.covariance_type)
    statistics = reference.gmm_statistics(xs, *batch, fitted.covariance_type)
    assert log_prob.shape == log_resp.shape == (3, 1, N, K)
    assert norm.shape == (3, 1, N)
    for b in range(3):
        alone = reference.gmm_statistics(xs[b, 0], weights, means, factors, fitted.covariance_type)
        for together, expected in zip(statistics, alone, strict=True):
            assert_near(together[b, 0], expected)


def test_lower_triangle_is_not_read(x):
    means = torch.zeros(K, D, dtype=torch.float64)
    upper = torch.eye(D, dtype=torch.float64) + torch.rand(K, D, D, dtype=torch.float64).triu(1)
    dirty = upper + 7 * torch.ones(D, D).tril(-1)
    assert torch.equal(reference.gmm_log_prob(x, means, dirty), reference.gmm_log_prob(x, means, upper))
    dirty, upper = dirty[0], upper[0]
    assert torch.equal(reference.gmm_log_prob(x, means, dirty, "tied"), reference.gmm_log_prob(x, means, upper, "tied"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_results_are_at_least_float32(fitted, x, dtype):
    half = (x + 0.5).to(dtype)  # away from the means, where the first moments would cancel
    given = parameters(fitted, dtype)
    expected = reference.gmm_statistics(half.double(), *(p.double() for p in given), fitted.covariance_type)
    for actual, exact in zip(reference.gmm_statistics(half, *given, fitted.covariance_type), expected, strict=True):
        assert actual.dtype == torch.float32
        assert_near(actual, exact)
    assert reference.gmm_e_step(half, *given, fitted.covariance_type)[1].dtype == torch.float32


def test_gradients(fitted, x):
    weights, means, factors = parameters(fitted)
    inputs = [t.clone().requires_grad_() for t in (x[:3], weights, means, factors)]
    kind = fitted.covariance_type
    assert torch.autograd.gradcheck(lambda x, _, m, p: reference.gmm_log_prob(x, m, p, kind), inputs)
    assert torch.autograd.gradcheck(lambda *a: reference.gmm_e_step(*a, kind), inputs)
    assert torch.autograd.gradcheck(lambda *a: reference.gmm_statistics(*a, kind).log_likelihood, inputs)


def test_only_the_log_likelihood_is_differentiable(fitted, x):
    statistics = reference.gmm_statistics(
        x.requires_grad_(), *(p.requires_grad_() for p in parameters(fitted)), fitted.covariance_type
    )
    assert [s.requires_grad for s in statistics] == [True, False, False, False]


def test_a_component_without_weight_and_a_sample_nobody_reaches():
    x = torch.tensor([[0.0], [1e30]])
    weights, means, factors = torch.tensor([1.0, 0.0]), torch.zeros(2, 1), torch.ones(2)
    norm, log_resp = reference.gmm_e_step(x, weights, means, factors, "spherical")
    assert torch.equal(log_resp.exp(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    assert torch.isneginf(norm[1])
