"""The likelihood of images under a mixture as the prior, against mixtures whose integrals are known."""

import pytest
import torch
from closed_forms import PIXELS, SIDE, Tiny, bernoulli, images, integral, linear_gaussian
from torch.distributions import MultivariateNormal

from latentcore.evaluate.likelihood import elbo, importance_weighted_nll, latent_axes, nll_per_image
from latentcore.models import Likelihood, Mixture
from latentcore.report.explorer import full_factors

TYPES = ("full", "tied", "diag", "spherical")


def mixture(latent, components, kind="full"):
    """One of random numbers, in float64."""
    prior = Mixture(latent, components, kind).double()
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return prior


class Plain(Likelihood):
    """Normal pixels of variance 1 around the outputs themselves, without the constant, as Gaussian has it."""

    def nll(self, outputs, target):
        return 0.5 * (target - outputs).square().flatten(1).sum(1)

    def mean(self, outputs):
        return outputs


class Linear(Tiny):
    def decode_logits(self, z):
        return self.means(z).view(-1, 1, SIDE, SIDE)


def linear(prior, spread):
    """x = 0.5 + A z + noise of variance 1, two latents; its posteriors are only roughly right."""
    A = torch.tensor([[0.5, 0.1], [-0.3, 0.4], [0.0, 0.5], [0.2, -0.2]], dtype=torch.float64)

    def posterior(x):
        mu = (x - 0.5) @ A
        return mu, torch.full_like(mu, 2 * torch.tensor(spread).log())

    return Linear(lambda z: 0.5 + z @ A.T, posterior, Plain(), prior), A


def exact_nll(prior, A, x):
    """-log of the mixture of the N(0.5 + A mu, 1 + A covariance A'), but for the constant that `Plain` leaves out."""
    density = prior.density.to_mixture()
    factors = torch.tensor(full_factors(density))
    covariances = (factors @ factors.mT).inverse()
    eye = torch.eye(PIXELS, dtype=torch.float64)
    parts = MultivariateNormal(0.5 + torch.as_tensor(density.means_) @ A.T, eye + A @ covariances @ A.T)
    logs = parts.log_prob(x.flatten(1).unsqueeze(1)) + torch.as_tensor(density.weights_).log()
    return -logs.logsumexp(1) - 0.5 * PIXELS * torch.tensor(2 * torch.pi).log()


@pytest.mark.parametrize("kind", TYPES)
def test_linear_images_of_a_mixture_have_a_known_likelihood(kind):
    prior = mixture(2, 3, kind)
    model, A = linear(prior, spread=1.5)
    x = images()
    exact = exact_nll(prior, A, x).detach()
    found = nll_per_image(model, x, samples=40_000, chunk=50_000)
    torch.testing.assert_close(found, exact, rtol=0, atol=0.05)
    few = torch.stack([nll_per_image(model, x, samples=2, seed=seed) for seed in range(300)]).mean(0)
    assert bool((few > exact - 0.02).all())  # a bound, in expectation
    assert float((few - exact).mean()) > 0.1
    assert importance_weighted_nll(model, x, samples=40_000, chunk=50_000) == pytest.approx(float(found.mean()))


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_an_exact_posterior_needs_one_sample(kind):
    """Of one component whose axes are those of the linear model."""
    model, nll = linear_gaussian()
    m, s = torch.tensor([1.0, -1.0]).double(), torch.tensor([0.5, 1.5]).double()
    prior = Mixture(2, 1, kind, spread=0.0).double()
    prior.density.means.data[0] = m
    prior.density.log_diagonal.data[0] = -s.log()

    def posterior(x):
        mu, logvar = model.posterior(x)
        return m + s * mu, logvar + 2 * s.log()

    moved = Tiny(lambda z: model.means((z - m) / s), posterior, model.likelihood, prior)
    for samples in (1, 5):
        torch.testing.assert_close(nll_per_image(moved, images(), samples=samples), nll(images()), rtol=0, atol=1e-10)


def test_bernoulli_images_have_the_integral_over_the_mixture():
    model = bernoulli(spread=2.0)
    normal = integral(model, images())
    model.prior = mixture(1, 3)
    exact = integral(model, images()).detach()
    assert float((exact - normal).abs().max()) > 0.1
    found = nll_per_image(model, images(), samples=40_000, chunk=50_000)
    torch.testing.assert_close(found, exact, rtol=0, atol=0.02)


def test_the_divergence_is_that_of_an_integral():
    model = bernoulli(spread=0.7)
    model.prior = mixture(1, 3)
    mu, logvar = model.encode(images())
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    own = torch.distributions.Normal(mu, (0.5 * logvar).exp()).log_prob(z)
    exact = (own.exp() * (own - model.prior.log_prob(z[:, None]))).sum(1).mean().detach() * 24 / 20_000
    found = elbo(model, images(), samples=2000)
    assert found.kl == pytest.approx(float(exact), abs=0.03)
    assert found.nats == found.reconstruction + found.kl


def test_there_is_no_divergence_of_single_axes():
    assert latent_axes(linear(mixture(2, 3), 1.0)[0], images()).kl is None


def test_a_mixture_with_the_numbers_of_the_standard_normal_is_one():
    model = bernoulli()
    expected = nll_per_image(model, images(), samples=50)
    model.prior = Mixture(1, 5, spread=0.0).double()
    torch.testing.assert_close(nll_per_image(model, images(), samples=50), expected, rtol=0, atol=1e-10)
