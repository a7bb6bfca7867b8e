"""Evaluation asks the model for its prior and its likelihood, whatever they are."""

import pytest
import torch
from closed_forms import DIGITS, SMALL, Tiny, bernoulli, images, linear_gaussian
from torch.nn import functional as F

from latentcore import ops
from latentcore.evaluate.likelihood import (
    elbo,
    latent_axes,
    likelihood_figures,
    nll_per_image,
)
from latentcore.models import (
    VAE,
    Likelihood,
    Posterior,
    Prior,
)


class Shifted(Prior):
    """N(m, s²) over latents (N, L), with m and s (L,), of density and samples alone."""

    def __init__(self, m, s):
        super().__init__()
        self.m, self.s = m, s

    def log_prob(self, z):
        return torch.distributions.Normal(self.m, self.s).log_prob(z).sum(1)

    def sample(self, n, generator=None):
        return self.m + self.s * torch.randn(n, len(self.m), generator=generator, dtype=self.m.dtype)


def shifted(model, m, s):
    """The same distribution of images, by latents m + s z."""

    def posterior(x):
        mu, logvar = model.posterior(x)
        return m + s * mu, logvar + 2 * s.log()

    return Tiny(lambda z: model.means((z - m) / s), posterior, model.likelihood, Shifted(m, s))


def test_another_prior_is_asked():
    model, nll = linear_gaussian()
    other = shifted(model, torch.tensor([1.0, -1.0]).double(), torch.tensor([0.5, 1.5]).double())
    x = images()
    for samples in (1, 5):
        torch.testing.assert_close(nll_per_image(other, x, samples=samples), nll(x), rtol=0, atol=1e-10)
    found, exact = elbo(other, x, samples=3000), elbo(model, x, samples=3000)
    assert found.reconstruction == pytest.approx(exact.reconstruction, rel=1e-10)  # the noise is the same
    assert found.kl == pytest.approx(exact.kl, abs=0.07)  # four standard deviations
    axes = latent_axes(other, x)
    assert axes.kl is None
    torch.testing.assert_close(axes.variance, latent_axes(model, x).variance * other.prior.s**2)
    assert likelihood_figures(other, x, samples=2).keys() == likelihood_figures(model, x, samples=2).keys()


def test_more_samples_of_the_divergence_are_a_mean():
    model, x = shifted(bernoulli(), torch.tensor([1.0]).double(), torch.tensor([2.0]).double()), images()
    parts = []
    for sample in range(3):
        mu, logvar = model.encode(x)
        z, kl = ops.reparameterize_kl(mu, logvar, seed=2, offset=sample * 2**40)
        parts.append(model.prior.kl(Posterior(mu, logvar, z, kl)))
    for size in (2, 100):
        found = elbo(model, x, samples=3, seed=2, batch_size=size)
        assert found.kl == pytest.approx(float(torch.stack(parts).mean()), rel=1e-12)


def test_another_likelihood_is_asked():
    class Halved(Likelihood):
        def nll(self, outputs, target):
            assert target.dtype == outputs.dtype
            return 0.5 * F.binary_cross_entropy_with_logits(outputs, target, reduction="none").flatten(1).sum(1)

        def mean(self, outputs):
            return outputs.sigmoid()

    model, x = VAE(SMALL), DIGITS
    expected = elbo(model, x)
    model.likelihood = Halved()
    assert elbo(model, x).reconstruction == pytest.approx(0.5 * expected.reconstruction, rel=1e-5)
    assert elbo(model, x).kl == expected.kl
