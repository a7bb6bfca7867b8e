"""What a training step minimises, for each kind of model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentcore import _checks, _config, ops
from latentcore.models import VAE, Autoencoder
from latentcore.train.pairs import PairBatch

# shapes: (B, C, H, W) images and targets

Number = int | float | Tensor
"""A number, or a tensor with one element on the model's device."""


class Objective(Protocol):
    """The terms of a batch's loss, each the mean over the batch; the first is what is minimised."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The names of the terms; the first is "loss"."""

    def __call__(self, model: Any, batch: Any, *, beta: float | Tensor, seed: int | Tensor) -> Sequence[Tensor]:
        """`batch` is what the source makes, `beta` the factor of a KL term, `seed` that of the noise."""


class NegativeELBO:
    """Reconstruction + beta * KL of a `VAE`, in nats per image; batches are (input, target)."""

    terms = ops.VAELoss._fields

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> ops.VAELoss:
        """Images go into the model; the target, uint8 or float in [0, 1], should come out."""
        images, target = batch
        out = model(images, seed=seed)
        return ops.vae_loss(out.logits, target, out.mu, out.logvar, beta=beta, likelihood=model.config.likelihood)


class ReconstructionError:
    """Reconstruction of an `Autoencoder`, in nats per image; it has neither noise nor prior."""

    terms = ops.VAELoss._fields

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> ops.VAELoss:
        """`beta` and `seed` do nothing."""
        images, target = batch
        logits = model(images).logits
        # the KL term of the prior itself is exactly 0
        prior = logits.new_zeros(len(logits), 1)
        return ops.vae_loss(logits, target, prior, prior, beta=beta, likelihood=model.config.likelihood)


class CrossEntropy:
    """Cross entropy of a classifier in nats per image, and its accuracy; batches are (images, labels)."""

    terms = ("loss", "accuracy")

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> tuple[Tensor, Tensor]:
        """`beta` and `seed` do nothing."""
        images, labels = batch
        logits = model(images).float()
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()


@dataclass(frozen=True)
class TransformationLoss:
    r"""How far a `TransformingVAE` is from transforming images; batches are `PairBatch`es.

    .. math::

        \text{image} \cdot \mathrm{BCE}(x', \mathrm{decode}(T z)) + \beta \cdot \mathrm{KL}
            + \text{latent} \cdot \lVert T z - z' \rVert^2 + \text{cosine} \cdot (1 - \cos(T z, z'))

    with latents z of the first image, and posterior means z' of the second one, x', which are taken as they are: no
    gradient goes through them. A frozen VAE has no KL term, and where the image has no weight nothing is decoded.

    Attributes:
        image: Weight of the reconstruction of the second image from the transformed latents.
        latent: Weight of the squared distance of the latents.
        cosine: Weight of one minus their cosine.
    """

    image: float = 1.0
    latent: float = 0.0
    cosine: float = 0.0
    terms = ("loss", "reconstruction", "kl", "latent", "cosine")

    def __post_init__(self) -> None:
        _config.check_types(self)
        for field in ("image", "latent", "cosine"):
            _config.in_range(self, field, 0)
        if not self.image + self.latent + self.cosine:
            _checks.fail_value("TransformationLoss", "a weight above 0", "none")

    def __call__(self, model: Any, batch: PairBatch, *, beta: float | Tensor, seed: int | Tensor) -> tuple[Tensor, ...]:
        """The terms apart are without their weights; those of weight 0 are not measured and 0."""
        apart = self.latent > 0 or self.cosine > 0
        targets = batch.targets if apart else None
        out = model(batch.images, batch.parameters, targets, decode=self.image > 0, seed=seed)
        loss = reconstruction = kl = latent = cosine = torch.zeros((), device=out.mu.device)
        if self.image:
            likelihood = model.vae.config.likelihood
            nats = ops.vae_loss(out.logits, batch.targets, out.mu, out.logvar, beta=beta, likelihood=likelihood)
            reconstruction, kl = nats.reconstruction, nats.kl
            loss = self.image * reconstruction + (0 if model.frozen else beta * kl)
        if apart:
            latent = (out.moved - out.goal).square().sum(1).mean()
            cosine = 1 - F.cosine_similarity(out.moved, out.goal).mean()
            loss = loss + self.latent * latent + self.cosine * cosine
        return loss, reconstruction, kl, latent, cosine


def objective_of(model: nn.Module) -> Objective:
    """The objective for this kind of autoencoder."""
    kinds: dict[type[nn.Module], Objective] = {VAE: NegativeELBO(), Autoencoder: ReconstructionError()}
    if type(model) not in kinds:
        _checks.fail_type("model", "a VAE or an Autoencoder", type(model).__name__)
    return kinds[type(model)]
