"""What a step of the training of a GAN minimises."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from latentcore.models.objectives import Terms
from latentcore.systems.gan.config import Adversarial


class AdversarialLoss(Terms):
    r"""The loss of a `GAN`, whose two networks descend at the same time; batches are (images, ...).

    With the logits :math:`D` of images being real and :math:`s(t) = \log(1 + e^t)`, the terms are

    .. math::

        \text{discriminator} &= E_x\, s(-D(x)) + E_z\, s(D(\bar G(z))) \\
        \text{generator} &= E_z\, s(-\bar D(G(z))) \\
        \text{penalty} &= E_x \lVert \nabla_x D(x) \rVert^2 \\
        \text{loss} &= \text{discriminator} + \tfrac{w}{2} \text{penalty} + \text{generator}

    where a bar says that no gradient goes to the network's parameters: each of them is moved by its own terms alone, as
    by optimisers apart. Without the penalty the networks need not converge, however near they are to the solution. It
    is the mean over the first images of the batch alone, for it costs more than all other terms together.

    Args:
        config: w, and the share of the batch of which the penalty is the mean; of several processes each takes that
            share of its own images.

    Reference:
        Goodfellow et al., "Generative adversarial nets", 2014 (the generator's loss that does not saturate).
        Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?", ICML 2018 (R1).
    """

    terms = ("loss", "discriminator", "generator", "penalty", "real", "fake")

    def __init__(self, config: Adversarial) -> None:
        self.config = config

    def __call__(self, model: Any, batch: Any, *, beta: float | Tensor, seed: int | Tensor) -> tuple[Tensor, ...]:
        """`real` and `fake` are the mean probabilities of being real; `beta` does nothing."""
        images = batch[0]
        out = model(images, seed=seed, steep=max(1, round(self.config.share * len(images))))
        discriminator = F.softplus(-out.real).mean() + F.softplus(out.fake).mean()
        generator = F.softplus(-out.judged).mean()
        penalty = out.steepness.mean()
        loss = discriminator + self.config.weight / 2 * penalty + generator
        return loss, discriminator, generator, penalty, out.real.sigmoid().mean(), out.fake.sigmoid().mean()
