"""Models of somebody's own: a VAE with other layers, prior, likelihood and loss, a module that offers the same, and one
that offers nothing but an objective."""

from dataclasses import dataclass, field, replace
from math import prod

import torch
from tiny import configuration, images
from torch import nn

from latentcore import ops, train
from latentcore._config import Configuration
from latentcore.data.convert import to_unit
from latentcore.models import VAE, Bernoulli, Likelihood, Prior, StandardNormal
from latentcore.models.objectives import NegativeELBO, Terms, negative_elbo
from latentcore.training import TrainConfig


class Wide(Prior):
    """N(0, s² I) of a learned s."""

    def __init__(self, latent):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(latent))

    def log_prob(self, z):
        return torch.distributions.Normal(0.0, self.log_scale.exp(), validate_args=False).log_prob(z).sum(1)

    def sample(self, n, generator=None):
        return torch.randn(n, len(self.log_scale), generator=generator) * self.log_scale.exp()


class Absolute(Likelihood):
    """Pixels around the outputs themselves, in [0, 1]."""

    def nll(self, outputs, target):
        return (target - self.mean(outputs)).abs().flatten(1).sum(1)

    def mean(self, outputs):
        return outputs.clamp(0, 1)


class Tightened(NegativeELBO):
    """The bound with a term for latents that are far away."""

    terms = ("loss", "reconstruction", "kl", "far")

    def __call__(self, model, batch, *, beta, seed):
        images, target, *labels = batch
        out = model(images, *labels, seed=seed)
        bound, far = negative_elbo(model, out, target, beta), out.mu.square().mean()
        return bound.loss + 0.01 * far, bound.reconstruction, bound.kl, far


class OwnVAE(VAE):
    """A VAE with another decoder, prior, likelihood and loss."""

    def __init__(self, config):
        super().__init__(config)
        self.prior, self.likelihood = Wide(config.latent), Absolute()

    def new_decoder(self):
        shape = self.config.image_shape
        inputs = self.config.latent + self.config.classes
        return nn.Sequential(nn.Linear(inputs, 24), nn.ReLU(), nn.Linear(24, prod(shape)), nn.Unflatten(1, shape))

    def objective(self):
        return Tightened()


@dataclass(frozen=True)
class OwnConfig(Configuration):
    """A configuration in one piece, of the model and of its training."""

    image_shape: tuple[int, int, int] = (1, 12, 12)
    latent: int = 2
    classes: int = 0
    width: int = 16
    train: TrainConfig = field(default_factory=lambda: TrainConfig(epochs=2, batch_size=48, learning_rate=3e-3))

    @property
    def network(self):
        return self

    def for_shape(self, shape):
        return replace(self, image_shape=tuple(shape))


class LookAlike(nn.Module):
    """No VAE by its type, but by what it offers; its tensors are not all in its files."""

    configuration = OwnConfig

    def __init__(self, config):
        super().__init__()
        self.config, pixels = config, prod(config.image_shape)
        self.down, self.up = nn.Linear(pixels, 2 * config.latent), nn.Linear(config.latent, pixels)
        self.register_buffer("middle", torch.full((pixels,), 0.5), persistent=False)
        self.half = torch.tensor(0.5)
        self.prior, self.likelihood = StandardNormal(config.latent), Bernoulli()

    def encode(self, images):
        return (self.half * self.down(images.flatten(1) - self.middle)).chunk(2, 1)

    def decode_logits(self, z):
        return self.up(z).view(-1, *self.config.image_shape)

    def decode(self, z):
        return self.likelihood.mean(self.decode_logits(z))

    def forward(self, images, seed):
        mu, logvar = self.encode(images)
        z, _ = ops.reparameterize_kl(mu, logvar, seed=seed)
        return self.decode_logits(z), mu, logvar

    def objective(self):
        return Bound()


class Bound(Terms):
    """The loss of a VAE, in one term."""

    terms = ("loss",)

    def __call__(self, model, batch, *, beta, seed):
        logits, mu, logvar = model(batch[0], seed)
        return (ops.vae_loss(logits, batch[1], mu, logvar, beta=beta).loss,)


class PixelMeans(nn.Module):
    """An image for all images; it looks at numbers while it is built."""

    configuration = OwnConfig

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.image = nn.Parameter(torch.zeros(config.image_shape) + torch.linspace(0, 1, 2).sum().item())

    def forward(self, target):
        return to_unit(target) - self.image

    def objective(self):
        return Distance()


class Distance(Terms):
    """Squared error of a pixel, and the absolute one."""

    terms = ("loss", "absolute")

    def __call__(self, model, batch, *, beta, seed):
        away = model(batch[1])
        return away.square().mean(), away.abs().mean()


TOLD = configuration("autoencoder", epochs=2, batch_size=48, validation=0.25)
TOLD = replace(TOLD, vae=replace(TOLD.vae, classes=3))


def trained(folder, own, **words):
    """A small run of a model, with images to judge by, which may have labels."""
    model, config, _ = own
    pictures, labels = images(120)
    data = {"labels": labels[:96]} if config.network.classes else {}
    return train(
        "autoencoder",
        pictures[:96],
        config=config,
        model=model,
        run_dir=folder,
        test=(pictures[96:], labels[96:]),
        **data,
        **words,
    )
