"""What a training step minimises: the terms of a loss, and those that the models here offer."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore import _errors, ops
from latentcore.models.likelihoods import nll_of
from latentcore.models.priors import Posterior

# shapes: (B, C, H, W) images and targets

Number = int | float | Tensor
"""A number, or a tensor with one element on the model's device."""


class Objective(Protocol):
    """The terms of a batch's loss, each the mean over the batch; the first is what is minimised."""

    @property
    def size(self) -> int:
        """How many numbers the terms have together."""

    def __call__(self, model: Any, batch: Any, *, beta: float | Tensor, seed: int | Tensor) -> Sequence[Tensor]:
        """`batch` is what the source makes, `beta` the factor of a KL term, `seed` that of the noise."""

    def figures(self, means: Tensor) -> dict[str, float]:
        """Names and values of what the means (size,) of the terms say; the first is "loss"."""


class Terms:
    """An objective whose terms are one number each, and are its figures.

    Attributes:
        terms: Their names; the first is "loss".
    """

    terms: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many terms there are."""
        return len(self.terms)

    def figures(self, means: Tensor) -> dict[str, float]:
        """The means by name."""
        return dict(zip(self.terms, means.tolist(), strict=True))


def objective_of(model: Any) -> Objective:
    """What the model offers to be trained by, `model.objective()`.

    Raises:
        TypeError: The model offers nothing, or what is no objective.
        ValueError: The first figure of the objective is not "loss".
    """
    if not callable(getattr(model, "objective", None)):
        _errors.fail_type("model", "a module with a method objective()", type(model).__name__)
    found: Any = model.objective()
    name = f"{type(model).__name__}.objective()"
    if not (callable(found) and isinstance(getattr(found, "size", None), int) and hasattr(found, "figures")):
        _errors.fail_type(name, "an objective, which has terms and is called with a batch", type(found).__name__)
    if (names := names_of(found))[:1] != ["loss"]:
        _errors.fail_value(name, "terms of which the first is 'loss'", ", ".join(names) or "none")
    objective: Objective = found
    return objective


def names_of(objective: Objective) -> list[str]:
    """The names of its figures; the first is "loss"."""
    return list(objective.figures(torch.zeros(objective.size)))


def flattened(objective: Objective, terms: Sequence[Tensor] | Tensor) -> Tensor:
    """The numbers of all terms of an objective, without their gradient. (size,), float32.

    Raises:
        TypeError: It gives a tensor instead of several.
        ValueError: There are more or fewer than it says.
    """
    if isinstance(terms, Tensor):
        _errors.fail_type(type(objective).__name__, "to give a tuple of terms", "a tensor")
    found = torch.cat([term.detach().float().reshape(-1) for term in terms])
    if len(found) != objective.size:
        _errors.fail_value(type(objective).__name__, f"to give {objective.size} numbers, as it says", len(found))
    return found


class NegativeELBO(Terms):
    r"""Reconstruction + beta * KL of a `VAE`, in nats per image; batches are (input, target) or (…, labels).

    .. math::

        E_{q(z|x)}[-\log p(x|z)] + \beta \, KL(q(z|x) \,\|\, p(z))

    with one sample of the latents of each image. p(x|z) is the model's `likelihood`, p(z) its `prior`. Where that is
    N(0, I) and the likelihood is one that :func:`latentcore.ops.vae_loss` knows, this finds all of it at once; the
    divergence from another prior is `Prior.kl`.
    """

    terms = ops.VAELoss._fields

    def __call__(
        self, model: Any, batch: tuple[Tensor, ...], *, beta: float | Tensor, seed: int | Tensor
    ) -> ops.VAELoss:
        """Images go into the model; the target, uint8 or float in [0, 1], should come out."""
        images, target, *labels = batch
        return negative_elbo(model, model(images, *labels, seed=seed), target, beta)


def negative_elbo(model: Any, out: Any, target: Tensor, beta: float | Tensor) -> ops.VAELoss:
    """The terms of `NegativeELBO` for what `model`, a VAE, has computed, and the images that should come out of it."""
    prior, likelihood = model.prior, model.likelihood
    if prior.standard and likelihood.fused:
        # the KL that came with the sample is not taken: other last bits of the gradient, and no less time
        return ops.vae_loss(out.logits, target, out.mu, out.logvar, beta=beta, likelihood=likelihood.fused)
    reconstruction = nll_of(likelihood, out.logits, target).mean()
    kl = prior.kl(Posterior.of(out.mu, out.logvar, out.z)).mean()
    factor = beta.reshape(()).to(kl.dtype) if isinstance(beta, Tensor) else beta
    return ops.VAELoss(reconstruction + factor * kl, reconstruction, kl)


class ReconstructionError(Terms):
    """Reconstruction of an `Autoencoder`, in nats per image; it has neither noise nor prior."""

    terms = ops.VAELoss._fields

    def __call__(
        self, model: Any, batch: tuple[Tensor, ...], *, beta: float | Tensor, seed: int | Tensor
    ) -> ops.VAELoss:
        """`beta` and `seed` do nothing."""
        images, target, *labels = batch
        logits = model(images, *labels).logits
        if not model.likelihood.fused:
            reconstruction = nll_of(model.likelihood, logits, target).mean()
            return ops.VAELoss(reconstruction, reconstruction, torch.zeros_like(reconstruction))
        # the KL term of the prior itself is exactly 0
        prior = logits.new_zeros(len(logits), 1)
        return ops.vae_loss(logits, target, prior, prior, beta=beta, likelihood=model.likelihood.fused)


class CrossEntropy(Terms):
    """Cross entropy of a classifier in nats per image, and its accuracy; batches are (images, labels)."""

    terms = ("loss", "accuracy")

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> tuple[Tensor, Tensor]:
        """`beta` and `seed` do nothing."""
        return _cross_entropy(_logits(model, batch[0]), batch[1])


class Discrimination(Terms):
    """Cross entropy and accuracy of a classifier of two classes, and the area under its ROC curve.

    The area is that of the scores in 2,048 cells of equal width between -16 and 16, logits of class 1 less those of
    class 0; cells add up over batches and processes. It is 0.5 where a class is missing.
    """

    terms = ("loss", "accuracy", "auc")
    cells = 2048

    @property
    def size(self) -> int:
        """Loss, accuracy, and the cells of both classes."""
        return 2 + 2 * self.cells

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> tuple[Tensor, ...]:
        """`beta` and `seed` do nothing; the last term is the share of the batch in each cell of each class."""
        images, labels = batch
        logits = _logits(model, images)
        scores = (logits[:, 1] - logits[:, 0]).detach()
        cell = ((scores / 32 + 0.5) * self.cells).long().clamp_(0, self.cells - 1)
        shares = logits.new_zeros(2 * self.cells)
        shares.index_add_(0, labels * self.cells + cell, torch.full_like(scores, 1 / len(labels)))
        return *_cross_entropy(logits, labels), shares

    def figures(self, means: Tensor) -> dict[str, float]:
        """Loss, accuracy and area."""
        below, above = means[2:].double().view(2, self.cells)
        pairs = float(below.sum() * above.sum())
        won = float(above @ (below.cumsum(0) - below / 2))
        return {"loss": float(means[0]), "accuracy": float(means[1]), "auc": won / pairs if pairs else 0.5}


def _logits(model: Any, images: Tensor) -> Tensor:
    """In float32 at least."""
    logits: Tensor = model(images)
    return logits if logits.dtype == torch.float64 else logits.float()


def _cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy and accuracy."""
    return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()
