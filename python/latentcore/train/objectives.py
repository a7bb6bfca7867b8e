"""What a training step minimises, for each kind of model."""

from typing import Any, Protocol

from torch import Tensor, nn

from latentcore import ops
from latentcore.models import VAE, Autoencoder

# shapes: (N, C, H, W) images and targets

TERMS = ops.VAELoss._fields

Number = int | float | Tensor
"""A number, or a tensor with one element on the model's device."""


class Objective(Protocol):
    """Loss, reconstruction and KL terms of a batch, in nats, as `latentcore.ops.vae_loss` returns them."""

    def __call__(
        self, model: Any, images: Tensor, target: Tensor, *, beta: float | Tensor, seed: int | Tensor
    ) -> ops.VAELoss:
        """`images` go into the model, `target` (uint8, or float in [0, 1]) should come out; `seed` is the noise's."""


def negative_elbo(
    model: Any, images: Tensor, target: Tensor, *, beta: float | Tensor, seed: int | Tensor
) -> ops.VAELoss:
    """Reconstruction + beta * KL of a `VAE`."""
    out = model(images, seed=seed)
    return ops.vae_loss(out.logits, target, out.mu, out.logvar, beta=beta, likelihood=model.config.likelihood)


def reconstruction_error(
    model: Any, images: Tensor, target: Tensor, *, beta: float | Tensor, seed: int | Tensor
) -> ops.VAELoss:
    """Reconstruction of an `Autoencoder`; it has neither noise nor prior, and `beta` and `seed` do nothing."""
    logits = model(images).logits
    # the KL term of the prior itself is exactly 0
    prior = logits.new_zeros(len(logits), 1)
    return ops.vae_loss(logits, target, prior, prior, beta=beta, likelihood=model.config.likelihood)


def objective_of(model: nn.Module) -> Objective:
    """The objective for this kind of model."""
    kinds: dict[type[nn.Module], Objective] = {VAE: negative_elbo, Autoencoder: reconstruction_error}
    if type(model) not in kinds:
        raise TypeError(f"model: expected a VAE or an Autoencoder, got {type(model).__name__}")
    return kinds[type(model)]
