"""MixturePrior: the density of torch.distributions, unbiased divergences, and the way from and to a fitted mixture."""

import pytest
import torch
from hypothesis import given, strategies as st
from sklearn import mixture as sklearn_mixture
from sklearn.exceptions import NotFittedError
from torch import distributions

import latentcore
from latentcore.mixture import GaussianMixture, MixturePrior
from latentcore.testing import assert_near

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


def moved(K, L, covariance_type, dtype=torch.float64):
    """A prior whose parameters are all far from their start."""
    prior = MixturePrior(K, L, covariance_type, dtype=dtype)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return prior


def in_torch(prior):
    """The same mixture out of torch.distributions."""
    K, L = prior.means.shape
    covariances = prior.covariances
    if prior.covariance_type == "diag":
        covariances = covariances.diag_embed()
    elif prior.covariance_type == "spherical":
        covariances = covariances[:, None, None] * torch.eye(L, dtype=covariances.dtype)
    normals = distributions.MultivariateNormal(prior.means, covariances.expand(K, L, L), validate_args=False)
    return distributions.MixtureSameFamily(distributions.Categorical(prior.weights), normals, validate_args=False)


@given(
    st.integers(1, 5),
    st.integers(1, 6),
    st.lists(st.integers(0, 4), max_size=3),
    st.sampled_from(COVARIANCE_TYPES),
    st.integers(0, 2**31),
)
def test_the_density_is_that_of_torch(K, L, leading, covariance_type, seed):
    torch.manual_seed(seed)
    prior, z = moved(K, L, covariance_type), 2 * torch.randn(*leading, L, dtype=torch.float64)
    expected = in_torch(prior)
    torch.testing.assert_close(prior(z), expected.log_prob(z), rtol=1e-8, atol=1e-8)
    joint = expected.component_distribution.log_prob(z.unsqueeze(-2)) + prior.weights.log()
    torch.testing.assert_close(prior.log_resp(z), joint.log_softmax(-1), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(prior.predict_proba(z), joint.softmax(-1), rtol=1e-8, atol=1e-8)


@every_type
def test_gradients(covariance_type):
    prior = moved(3, 3, covariance_type)
    z, kl = (torch.rand(shape, dtype=torch.float64, requires_grad=True) for shape in [(2, 4, 3), (2, 4)])

    def values(z, kl, *parameters):  # gradcheck moves the parameters in place
        return prior.kl_divergence(z, kl), prior.predict_proba(z), prior.covariances

    assert torch.autograd.gradcheck(values, (z, kl, *prior.parameters()))


def test_gradients_are_finite_where_a_component_has_no_weight():
    prior = MixturePrior(2, 2)
    with torch.no_grad():
        prior.logits[0] = -1000
    prior(torch.randn(9, 2)).sum().backward()
    assert all(bool(parameter.grad.isfinite().all()) for parameter in prior.parameters())


@every_type
def test_the_divergence_from_the_normal_prior_is_the_analytic_one(covariance_type):
    z, kl = latentcore.reparameterize_kl(3 * torch.randn(5, 6, 4), torch.randn(5, 6, 4))
    assert_near(MixturePrior(1, 4, covariance_type, spread=0).kl_divergence(z, kl), kl)


def test_the_divergence_has_the_mean_of_an_integral_and_little_variance():
    prior = MixturePrior(2, 1, dtype=torch.float64)
    prior.load_state_dict(
        {
            "logits": torch.tensor([0.0, 1.0]),
            "means": torch.tensor([[-1.0], [2.0]]),
            "log_diagonal": torch.tensor([[0.7], [0.0]]),
            "off_diagonal": torch.zeros(2, 1, 1),
        }
    )
    mu, deviation = torch.tensor(0.5, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    posterior = distributions.Normal(mu, deviation)
    grid = torch.linspace(-3, 4, 20_001, dtype=torch.float64)
    density = posterior.log_prob(grid)
    integral = torch.trapezoid(density.exp() * (density - prior(grid[:, None])), grid)
    draws = torch.full((100_000, 1), 1.0, dtype=torch.float64)
    z, kl = latentcore.reparameterize_kl(mu * draws, deviation.square().log() * draws)
    estimates = prior.kl_divergence(z, kl)
    assert abs(estimates.mean() - integral) < 5 * estimates.std() / len(draws) ** 0.5
    plain = posterior.log_prob(z[:, 0]) - prior(z)
    assert estimates.var() < plain.var() / 2


@every_type
@pytest.mark.parametrize("kind", ["arrays", "tensors", "scikit-learn's"])
def test_from_a_mixture_and_back(blobs, covariance_type, kind):
    X = torch.from_numpy(blobs[0]) if kind == "tensors" else blobs[0]
    estimator = sklearn_mixture.GaussianMixture if kind == "scikit-learn's" else GaussianMixture
    mixture = estimator(3, covariance_type=covariance_type, random_state=0).fit(X)
    before, state = torch.as_tensor(mixture.means_).clone(), torch.get_rng_state()
    prior = MixturePrior.from_mixture(mixture)
    assert torch.equal(torch.get_rng_state(), state)
    log_prob, samples = torch.as_tensor(mixture.score_samples(X)), torch.as_tensor(X)
    torch.testing.assert_close(prior(samples), log_prob)
    back = prior.to_mixture()
    torch.testing.assert_close(back.score_samples(samples), log_prob)
    for name in ("weights_", "covariances_", "precisions_"):
        expected = torch.as_tensor(getattr(mixture, name))
        torch.testing.assert_close(getattr(back, name), expected, rtol=1e-6, atol=1e-9)
    assert (back.n_components, back.n_features_in_) == (3, 3)
    with torch.no_grad():
        prior.means.add_(1)
    assert torch.equal(torch.as_tensor(mixture.means_), before)  # a copy
    torch.testing.assert_close(back.score_samples(samples), log_prob)


def test_a_float32_mixture_with_a_component_of_no_weight(blobs):
    mixture = GaussianMixture(3, random_state=0).fit(torch.from_numpy(blobs[0]).float())
    mixture.weights_ = torch.tensor([0.0, 0.5, 0.5])
    prior = MixturePrior.from_mixture(mixture)
    assert prior.means.dtype == torch.float32
    assert bool(prior.logits.isfinite().all())
    torch.testing.assert_close(prior.weights.detach(), mixture.weights_)


@every_type
def test_ascent_reaches_the_likelihood_of_expectation_maximisation(blobs, covariance_type):
    X = torch.from_numpy(blobs[0])
    mixture = GaussianMixture(3, covariance_type=covariance_type, n_init=5, tol=1e-9, max_iter=1000, random_state=0)
    best = mixture.fit(X).score(X)
    prior = MixturePrior(3, 3, covariance_type, dtype=torch.float64)
    with torch.no_grad():
        prior.means.copy_(X[:3])  # a sample of each group
    optimizer = torch.optim.LBFGS(prior.parameters(), max_iter=80, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = -prior(X).mean()
        value.backward()
        return value

    optimizer.step(loss)
    assert -float(loss().detach()) == pytest.approx(best, abs=1e-3)


@every_type
def test_samples_have_the_moments_of_the_mixture(covariance_type):
    prior = moved(3, 2, covariance_type)
    z, component = prior.sample(200_000)
    assert (z.shape, component.shape, z.requires_grad) == ((200_000, 2), (200_000,), False)
    shares = component.bincount(minlength=3) / len(z)
    torch.testing.assert_close(shares, prior.weights.detach().float(), rtol=0, atol=0.01)
    expected = in_torch(prior).component_distribution
    for k in range(3):
        mine = z[component == k]
        torch.testing.assert_close(mine.mean(0), prior.means[k].detach(), rtol=0, atol=0.1)
        torch.testing.assert_close(mine.T.cov(), expected.covariance_matrix[k].detach(), rtol=0.05, atol=0.05)


def test_samples_are_a_function_of_the_generator_or_the_seed():
    prior = MixturePrior(4, 3)
    first, again = (prior.sample(50, generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    torch.manual_seed(7)
    assert torch.equal(prior.sample(50)[0], first[0])
    assert not torch.equal(prior.sample(50)[0], first[0])


def test_the_start_is_a_function_of_the_seed_and_spread():
    torch.manual_seed(1)
    prior = MixturePrior(1000, 3, spread=2.0)
    torch.manual_seed(1)
    assert torch.equal(MixturePrior(1000, 3, spread=2.0).means, prior.means)
    assert float(prior.means.detach().std()) == pytest.approx(2, rel=0.05)
    torch.testing.assert_close(prior.weights.detach(), torch.full((1000,), 1e-3))
    assert torch.equal(prior.covariances[5], torch.eye(3))


@every_type
def test_state_dict(covariance_type):
    prior, other, z = moved(3, 2, covariance_type), MixturePrior(3, 2, covariance_type).double(), torch.randn(5, 2)
    other.load_state_dict(prior.state_dict())
    assert torch.equal(other(z), prior(z))
    assert sum(1 for _ in prior.parameters()) == (4 if covariance_type in ("full", "tied") else 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(dtype):
    prior, z = moved(3, 2, "full", torch.float32), torch.randn(40, 2).to(dtype).requires_grad_()
    assert torch.equal(prior(z), prior(z.float()))
    prior.kl_divergence(z, torch.zeros(40)).sum().backward()
    assert z.grad.dtype == dtype
    narrow = moved(3, 2, "full", torch.float32).to(dtype)
    assert (narrow(z).dtype, narrow.sample(5)[0].dtype, narrow.weights.dtype) == (torch.float32, dtype, torch.float32)


def test_the_wider_dtype_counts():
    prior, z = MixturePrior(3, 2), torch.randn(4, 2)
    assert torch.equal(prior(z.double()), prior.double()(z))


@pytest.mark.parametrize("covariance_type", ["tied", "diag"])
def test_compiled(covariance_type):
    prior, z = moved(3, 2, covariance_type, torch.float32), torch.randn(9, 2, requires_grad=True)
    compiled = torch.compile(prior.kl_divergence, fullgraph=True, backend="aot_eager")(z, torch.ones(9))
    eager = prior.kl_divergence(z, torch.ones(9))
    torch.testing.assert_close(compiled, eager)
    inputs = (z, *prior.parameters())
    found, expected = (torch.autograd.grad(values.sum(), inputs) for values in (compiled, eager))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: MixturePrior(0, 2), ValueError, r"n_components: expected an int in \[1, "),
        (lambda p: MixturePrior(2, 1.5), TypeError, "n_features: expected an int, got float"),
        (lambda p: MixturePrior(2, 2, "round"), ValueError, "covariance_type: expected one of 'full', .* got 'round'"),
        (lambda p: MixturePrior(2, 2, spread=-1), ValueError, "spread: expected a finite number >= 0, got -1"),
        (lambda p: MixturePrior(2, 2, spread="wide"), TypeError, "spread: expected a number, got str"),
        (lambda p: p(torch.zeros(5, 3)), ValueError, r"z: expected shape \(\.\.\., 2\), got \(5, 3\)"),
        (lambda p: p(torch.zeros(())), ValueError, r"z: expected shape \(\.\.\., 2\), got \(\)"),
        (lambda p: p(torch.zeros(5, 2, dtype=torch.int64)), TypeError, "z: expected float32 or .* got torch.int64"),
        (lambda p: p.log_resp([[0.0, 0.0]]), TypeError, "z: expected a torch.Tensor, got list"),
        (lambda p: p(torch.zeros(5, 2, device="meta")), ValueError, "z: expected the device of the prior, cpu, got m"),
        (lambda p: p.kl_divergence(torch.zeros(5, 2), torch.tensor(1.0)), ValueError, r"kl: expected shape \(5,\), g"),
        (lambda p: p.kl_divergence(torch.zeros(5, 2), 1.0), TypeError, "kl: expected a torch.Tensor, got float"),
        (lambda p: p.sample(0), ValueError, r"n_samples: expected an int in \[1, "),
        (lambda p: p.sample(3, generator=0), TypeError, "generator: expected a torch.Generator, got int"),
        (lambda p: MixturePrior.from_mixture(GaussianMixture()), NotFittedError, "not fitted"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(MixturePrior(3, 2))
