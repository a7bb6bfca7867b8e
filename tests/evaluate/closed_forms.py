"""Small models whose likelihood is known: in a closed form, or by an integral over the latents."""

import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.nn import functional as F

from latentcore.data import mnist
from latentcore.models import Bernoulli, Gaussian, MLPConfig, StandardNormal, VAEConfig

SIDE, PIXELS = 2, 4
DIGITS = mnist.embedded("test").images[::10]
SMALL = VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,)))


class Tiny(nn.Module):
    """A model of images of 2x2 pixels, float64: a posterior that is given, a decoder (R, L) -> (R, 4) of its means."""

    def __init__(self, means, posterior, likelihood=None, prior=None):
        super().__init__()
        self.config = SimpleNamespace(image_shape=(1, SIDE, SIDE))
        self.likelihood, self.prior = likelihood or Bernoulli(), prior or StandardNormal(1)
        self.place = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.means, self.posterior = means, posterior
        self.decoded = []  # sizes of batches

    def encode(self, images):
        return self.posterior(images.flatten(1))

    def decode_logits(self, z):
        self.decoded.append(len(z))
        return torch.logit(self.means(z)).view(-1, 1, SIDE, SIDE)


def linear_gaussian(posterior_scale=1.0):
    """x = 0.5 + A z + noise of variance 1, two latents; its posterior is exact where the scale is 1."""
    A = torch.tensor([[0.05, 0.01], [-0.03, 0.04], [0.0, 0.05], [0.02, -0.02]], dtype=torch.float64)
    precision = torch.eye(2, dtype=torch.float64) + A.T @ A
    # rotate the latents so that the posterior is diagonal
    A = A @ torch.linalg.eigh(precision).eigenvectors
    variance = 1 / (1 + (A.T @ A).diagonal())

    def posterior(x):
        mu = variance * ((x - 0.5) @ A)
        return mu, (posterior_scale * variance).log().expand(len(x), 2)

    def nll(x):
        covariance = torch.eye(PIXELS, dtype=torch.float64) + A @ A.T
        rest = (x - 0.5).flatten(1)
        return 0.5 * ((rest @ covariance.inverse()) * rest).sum(1) + 0.5 * covariance.logdet()

    return Tiny(lambda z: 0.5 + z @ A.T, posterior, Gaussian()), nll


def bernoulli(spread=1.0):
    """A curve of Bernoulli means over one latent, and a posterior that is only roughly right."""
    weight = torch.tensor([[2.0, -1.5, 1.0, 0.5]], dtype=torch.float64)
    bias = torch.tensor([0.3, 0.0, -1.0, 0.5], dtype=torch.float64)

    def posterior(x):
        mu = 0.4 * (x - 0.5) @ weight.T
        return mu, torch.full_like(mu, math.log(spread))

    return Tiny(lambda z: torch.sigmoid(torch.sin(z) @ weight + bias), posterior)


def integral(model, x):
    """-log of the integral of p(x|z) over the one latent and the model's prior, by the trapezoidal rule. (N,)."""
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    logits = model.decode_logits(z[:, None]).flatten(1)
    nats = F.binary_cross_entropy_with_logits(
        logits.expand(len(x), -1, -1), x.flatten(1)[:, None].expand(-1, len(z), -1), reduction="none"
    ).sum(2)
    return -(model.prior.log_prob(z[:, None]) - nats + math.log(20 / 4000)).logsumexp(1)


def images(count=6, seed=3):
    # whole 64ths, so that float32 has them exactly
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 65, (count, 1, SIDE, SIDE), generator=generator).double() / 64


def all_binary():
    return torch.tensor([[(i >> p) & 1 for p in range(PIXELS)] for i in range(16)]).view(16, 1, SIDE, SIDE).double()
