"""How likely images are under a VAE: its evidence lower bound, a tighter one by importance sampling, and its axes.

A model here is anything with ``encode(images) -> (mu, logvar)``, ``decode_logits(z)``, a ``prior`` and a ``likelihood``
as :mod:`latentcore.models` has them, and a ``config`` that says ``image_shape``; its posterior is a diagonal Gaussian.
It is asked in evaluation mode without gradients, and left in the mode it came in. One that takes ``labels`` too is
given them by keyword. All figures are nats per image.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentcore import _errors, ops
from latentcore.evaluate._posteriors import (
    MAX_SAMPLES,
    Batch,
    batches,
    evaluating,
    has_likelihood,
    reconstruction,
    weighted_nll,
)
from latentcore.evaluate.targets import Target, binarised, target_images
from latentcore.models.priors import Posterior

# shapes: (N, C, H, W) images, (N, L) latents, S samples of the latents of each image

__all__ = [
    "ELBO",
    "LatentAxes",
    "Target",
    "active_units",
    "binarised",
    "elbo",
    "has_likelihood",
    "importance_weighted_nll",
    "latent_axes",
    "likelihood_figures",
    "nll_per_image",
]

_ENDINGS: dict[Target, str] = {"grey": "", "binarised": "_binarised"}  # of the names of figures
_ROWS = 2048  # images at a time, or samples of fewer images: what is decoded stays near the processor


class ELBO(NamedTuple):
    """The terms of a negative evidence lower bound, means over the images, in nats.

    Attributes:
        nats: Reconstruction + KL: the negative bound.
        reconstruction: -log p(x|z), as the model's likelihood has it.
        kl: Divergence of the posterior from the prior.
    """

    nats: float
    reconstruction: float
    kl: float


class LatentAxes(NamedTuple):
    """What each axis of a latent space tells of images.

    Attributes:
        variance: Of the posterior means over the images, divided by N. (L,), float64.
        kl: Divergence of the posterior from the prior along the axis, mean over the images, in nats. (L,), float64.
            None where the prior is not N(0, I): it need not be a product over the axes.
    """

    variance: Tensor
    kl: Tensor | None


def elbo(
    model: Any,
    images: Any,
    *,
    target: Target = "grey",
    samples: int = 1,
    seed: int = 0,
    batch_size: int = _ROWS,
    labels: Tensor | None = None,
) -> ELBO:
    r"""Negative evidence lower bound of images, without a weight beta: what training minimises, on other images.

    .. math::

        -\log p(x) \le E_{q(z|x)}[-\log p(x|z)] + KL(q(z|x) \,\|\, p(z))

    The expectation is a mean over samples. The divergence is exact from N(0, I); from another prior it is the mean of
    its `kl` over the same samples. Sample 0 has the noise that :func:`latentcore.ops.reparameterize_kl` gives all
    images at once for the seed; batches do not change it. With grey targets the cross entropy of the Bernoulli
    likelihood is a pseudo-likelihood: exp of minus it is no density over greys.

    Args:
        model: See the module.
        images: (N, C, H, W) or (N, H, W), uint8 or float in [0, 1], NumPy or torch.
        target: "grey": the images. "binarised": those of :func:`binarised` by seed 0, whatever ``seed`` is.
        samples: Of the latents of each image, S.
        seed: Of the noise.
        batch_size: Images at a time.
        labels: What the model takes besides, one per image, or None. (N, ...).

    Returns:
        Means over images and samples.

    Raises:
        TypeError: An argument has another type or dtype, or the model has no posterior.
        ValueError: Images of another shape or with values outside [0, 1], another number of labels, an unknown
            target, or a number out of range.

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import elbo
        >>> from latentcore.models import VAE, MLPConfig, VAEConfig
        >>> model = VAE(VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,))))
        >>> found = elbo(model, torch.rand(5, 28, 28), target="binarised")
        >>> found.nats == found.reconstruction + found.kl
        True

    Reference:
        Kingma and Welling, "Auto-encoding variational Bayes", 2014, equation 3.
        Loaiza-Ganem and Cunningham, "The continuous Bernoulli", NeurIPS 2019 (what grey targets lack).
    """
    _errors.integer("samples", samples, 1, MAX_SAMPLES)
    expected = divergence = 0.0
    with evaluating(model):
        for batch in _batches(model, images, target, labels, batch_size, "batch_size"):
            for sample in range(samples):
                z, kl = ops.reparameterize_kl(batch.mu, batch.logvar, seed=seed, offset=batch.element(sample))
                expected += float(reconstruction(model, batch, z.unsqueeze(0)).sum()) / samples
                if not model.prior.standard:
                    kl = model.prior.kl(Posterior(batch.mu, batch.logvar, z, kl))
                    divergence += float(kl.sum(dtype=torch.float64)) / samples
            if model.prior.standard:  # the same for all samples
                divergence += float(kl.sum(dtype=torch.float64))
    expected, divergence = expected / len(images), divergence / len(images)
    return ELBO(expected + divergence, expected, divergence)


def importance_weighted_nll(
    model: Any,
    images: Any,
    *,
    samples: int = 200,
    chunk: int = _ROWS,
    target: Target = "grey",
    seed: int = 0,
    labels: Tensor | None = None,
) -> float:
    """Negative log-likelihood of images by importance sampling: the mean of :func:`nll_per_image`.

    Arguments and errors are those of that function, which has the formula too.

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import elbo, importance_weighted_nll
        >>> from latentcore.models import VAE, MLPConfig, VAEConfig
        >>> model, images = VAE(VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,)))), torch.rand(5, 28, 28)
        >>> importance_weighted_nll(model, images, samples=100) < elbo(model, images, samples=100).nats
        True
    """
    found = nll_per_image(model, images, samples=samples, chunk=chunk, target=target, seed=seed, labels=labels)
    return float(found.mean())


def nll_per_image(
    model: Any,
    images: Any,
    *,
    samples: int = 200,
    chunk: int = _ROWS,
    target: Target = "grey",
    seed: int = 0,
    labels: Tensor | None = None,
) -> Tensor:
    r"""Negative log-likelihood of each image by importance sampling from its posterior.

    .. math::

        -\log \frac1S \sum_{s=1}^S \frac{p(x|z_s) \, p(z_s)}{q(z_s|x)}, \qquad z_s \sim q(z|x)

    In expectation it is at least :math:`-\log p(x)` and falls towards it with S; for S = 1 its expectation is the
    negative ELBO. p(z) is the model's prior, :math:`-\log p(x|z)` its likelihood's `nll`:

    - ``"bernoulli"``: the cross entropy, for grey targets too, where exp of minus it is no density over greys: their
      figure is the integral of a pseudo-likelihood.
    - ``"gaussian"``, of scale 1: without the constant C H W log(2 pi) / 2, to be added for a density.

    Sample s of an image is the same for every S, ``chunk`` and batch that begins with the same images, and sample 0 is
    the one of :func:`elbo`. Sums are in float64. Memory grows with ``chunk``, not with S.

    Args:
        model: See the module.
        images: (N, C, H, W) or (N, H, W), uint8 or float in [0, 1], NumPy or torch.
        samples: S.
        chunk: How many latents are decoded at a time: samples of one image or of several.
        target: As :func:`elbo` has it.
        seed: Of the noise.
        labels: What the model takes besides, one per image, or None. (N, ...).

    Returns:
        (N,), float64, on the CPU.

    Raises:
        TypeError: As :func:`elbo`.
        ValueError: As :func:`elbo`.

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import nll_per_image
        >>> from latentcore.models import VAE, MLPConfig, VAEConfig
        >>> model = VAE(VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,))))
        >>> nll_per_image(model, torch.rand(5, 28, 28), samples=10).shape
        torch.Size([5])

    Reference:
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016, equation 8.
    """
    _errors.integer("samples", samples, 1, MAX_SAMPLES)
    with evaluating(model):
        found = _batches(model, images, target, labels, chunk, "chunk")
        return torch.cat([weighted_nll(model, batch, samples, chunk, seed).cpu() for batch in found])


def latent_axes(
    model: Any, images: Any, *, target: Target = "grey", batch_size: int = _ROWS, labels: Tensor | None = None
) -> LatentAxes:
    """How far the posterior means of images spread along each axis, and the KL divergence there.

    Arguments and errors are those of :func:`elbo`; the divergences, which are known for N(0, I) alone, add up to its
    ``kl``.

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import latent_axes
        >>> from latentcore.models import VAE, VAEConfig
        >>> latent_axes(VAE(VAEConfig(latent=3)), torch.rand(5, 28, 28)).variance.shape
        torch.Size([3])
    """
    with evaluating(model):
        found = _batches(model, images, target, labels, batch_size, "batch_size")
        posteriors = [torch.stack([batch.mu, batch.logvar]).double().cpu() for batch in found]
    mu, logvar = torch.cat(posteriors, dim=1)
    variance = mu.var(0, correction=0)
    if not model.prior.standard:
        return LatentAxes(variance, None)
    return LatentAxes(variance, (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).mean(0))


def active_units(
    model: Any,
    images: Any,
    *,
    threshold: float = 0.01,
    target: Target = "grey",
    batch_size: int = _ROWS,
    labels: Tensor | None = None,
) -> int:
    r"""How many latent axes tell something of images: those with :math:`Var_x(E_{q(z|x)}[z]) >` `threshold`.

    Arguments and errors are those of :func:`elbo`; the variances are :func:`latent_axes`'. The usual threshold is meant
    for latents of the size of N(0, I)'s: a prior that is learned may widen or narrow them all.

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import active_units
        >>> from latentcore.models import VAE, VAEConfig
        >>> active_units(VAE(VAEConfig(latent=3)), torch.zeros(5, 28, 28))  # the images are all the same
        0

    Reference:
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR 2016 (units and threshold).
    """
    _errors.number("threshold", threshold)
    if not threshold >= 0:
        _errors.fail_value("threshold", "a number of at least 0", threshold)
    axes = latent_axes(model, images, target=target, batch_size=batch_size, labels=labels)
    return int((axes.variance > threshold).sum())


def likelihood_figures(
    model: Any, images: Any, *, samples: int = 200, seed: int = 0, chunk: int = _ROWS, labels: Tensor | None = None
) -> dict[str, float]:
    """The figures of a model on images.

    Arguments and errors are those of :func:`nll_per_image`; ``samples`` are those of the importance sampling.

    Returns:
        ``nats``, ``reconstruction`` and ``kl``, those of :func:`elbo` with one sample per image; ``iw_nll``, of
        :func:`importance_weighted_nll`; all four of binarised images with the ending ``_binarised``; and
        ``active_units`` of the images as they are.

    Example:
        >>> import torch
        >>> from latentcore.evaluate.likelihood import likelihood_figures
        >>> from latentcore.models import VAE, MLPConfig, VAEConfig
        >>> model = VAE(VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,))))
        >>> list(likelihood_figures(model, torch.rand(5, 28, 28), samples=10))[:4]
        ['nats', 'reconstruction', 'kl', 'iw_nll']
    """
    found: dict[str, float] = {}
    for target, ending in _ENDINGS.items():
        bound = elbo(model, images, target=target, seed=seed, batch_size=chunk, labels=labels)
        found |= {f"{name}{ending}": value for name, value in bound._asdict().items()}
        found[f"iw_nll{ending}"] = importance_weighted_nll(
            model, images, samples=samples, chunk=chunk, target=target, seed=seed, labels=labels
        )
    found["active_units"] = active_units(model, images, batch_size=chunk, labels=labels)
    return found


def _batches(
    model: Any, images: Any, target: Target, labels: Tensor | None, size: int, size_name: str
) -> Iterator[Batch]:
    """The posteriors of the images that are the target, `size` at a time."""
    _errors.integer(size_name, size, 1, 2**31)
    return batches(model, target_images(images, target, model.config.image_shape), labels, size)
