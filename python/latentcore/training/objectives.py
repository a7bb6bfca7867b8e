"""What a step of a training of latent transformations minimises."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore import _config, _errors, ops
from latentcore.models.objectives import Terms
from latentcore.training.pairs import PairBatch


@dataclass(frozen=True)
class TransformationLoss(Terms):
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
            _errors.fail_value("TransformationLoss", "a weight above 0", "none")

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
