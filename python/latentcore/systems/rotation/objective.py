"""What a step of a training of latent transformations minimises."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore.models.objectives import Terms, negative_elbo
from latentcore.models.transforming import PairBatch
from latentcore.systems.rotation.config import TransformationWeights


class TransformationLoss(Terms):
    r"""How far a `TransformingVAE` is from transforming images; batches are `PairBatch`es.

    .. math::

        -\text{image} \cdot \log p(x' \mid T z) + \beta \cdot \mathrm{KL}
            + \text{latent} \cdot \lVert T z - z' \rVert^2 + \text{cosine} \cdot (1 - \cos(T z, z'))

    with latents z of the first image, and posterior means z' of the second one, x', which are taken as they are: no
    gradient goes through them. Likelihood and prior are those of the VAE. A frozen VAE has no KL term: one that is no
    exact divergence is shown as the posterior means give it. Where the image has no weight nothing is decoded.

    Args:
        weights: Of the terms.
    """

    terms = ("loss", "reconstruction", "kl", "latent", "cosine")

    def __init__(self, weights: TransformationWeights) -> None:
        self.weights = weights

    def __call__(self, model: Any, batch: PairBatch, *, beta: float | Tensor, seed: int | Tensor) -> tuple[Tensor, ...]:
        """The terms apart are without their weights; those of weight 0 are not measured and 0."""
        weights = self.weights
        apart = weights.latent > 0 or weights.cosine > 0
        targets = batch.targets if apart else None
        out = model(batch.images, batch.parameters, targets, decode=weights.image > 0, seed=seed)
        loss = reconstruction = kl = latent = cosine = torch.zeros((), device=out.mu.device)
        if weights.image:
            nats = negative_elbo(model.vae, out, batch.targets, beta)
            reconstruction, kl = nats.reconstruction, nats.kl
            loss = weights.image * reconstruction + (0 if model.frozen else beta * kl)
        if apart:
            latent = (out.moved - out.goal).square().sum(1).mean()
            cosine = 1 - F.cosine_similarity(out.moved, out.goal).mean()
            loss = loss + weights.latent * latent + weights.cosine * cosine
        return loss, reconstruction, kl, latent, cosine
