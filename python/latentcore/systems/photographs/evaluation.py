"""How well a VAE draws photographs that it has not seen, and which of them are unlike the others."""

from typing import NamedTuple

import torch
from torch import Tensor

from latentcore import metrics
from latentcore._memory import bounded
from latentcore.data.convert import as_images, to_unit
from latentcore.evaluate._posteriors import batches, evaluating, reconstruction
from latentcore.models.priors import Posterior
from latentcore.systems.photographs.run import PhotographsRun

# shapes: (N, C, H, W) images, (N, L) latents

_ROWS = 512  # images at a time


class Scores(NamedTuple):
    """How unlike what was learned each photograph is, in nats; large ones are.

    Attributes:
        score: reconstruction + beta * kl. (N,), float64.
        reconstruction: Of the image from its posterior mean, as the training counts it. (N,), float64.
        kl: Divergence of the posterior from the prior. (N,), float64.
    """

    score: Tensor
    reconstruction: Tensor
    kl: Tensor


def anomaly_scores(run: PhotographsRun, images: Tensor) -> Scores:
    r"""The loss of training for each photograph: its negative evidence lower bound, with latents at their means.

    .. math::

        s(x) = -\log p(x \mid \mu(x)) + \beta \, KL(q(z|x) \,\|\, p(z))

    The first term is large where the decoder cannot draw what is there, the second one where the latents lie far from
    those of the training photographs; either makes a photograph odd, and beta is what they were weighed by. Fine
    texture counts too: without it a blurred photograph would be the most usual one. The divergence from another prior
    than N(0, I) is its `kl` at the posterior mean.

    Args:
        run: The run.
        images: (N, C, H, W), uint8 or float in [0, 1].

    Returns:
        The scores and their terms.

    Example:
        >>> scores = anomaly_scores(run, photographs.images)  # doctest: +SKIP
        >>> photographs.paths[int(scores.score.argmax())]  # doctest: +SKIP
        PosixPath('birds/not_a_bird.jpg')

    Reference:
        An and Cho, "Variational autoencoder based anomaly detection using reconstruction probability", 2015.
    """
    shown = as_images(images, run.model.config.image_shape)
    terms: list[tuple[Tensor, Tensor]] = []
    with evaluating(run.model):
        for batch in batches(run.model, shown, None, _ROWS):
            drawn = reconstruction(run.model, batch, batch.mu.unsqueeze(0))[0]
            mu, logvar = batch.mu.double(), batch.logvar.double()
            kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
            terms.append((drawn, run.model.prior.kl(Posterior(mu, logvar, mu, kl))))
    drawn, kl = (torch.cat(parts) for parts in zip(*terms, strict=True))
    return Scores(drawn + run.config.train.beta * kl, drawn, kl)


def figures(run: PhotographsRun, images: Tensor) -> dict[str, float]:
    """Figures of a run on photographs that it has not seen, of decode(encode(x)).

    Returns:
        ``test_images``, their number; ``mse``, ``psnr`` (dB), ``ssim`` and ``ms_ssim``, means over the images;
        ``pca_mse`` of the principal axes of the training photographs, as many as latents; ``mse_ratio_pca``, the one
        over the other; ``test_kl``, nats.
    """
    images = as_images(images, run.model.config.image_shape)
    sums: dict[str, float] = {}
    for part in bounded(images.split(_ROWS)):
        original, drawn = to_unit(part), run.reconstruct(part)
        found = {
            "mse": metrics.mse(original, drawn),
            "psnr": metrics.psnr(original, drawn),
            "ssim": metrics.ssim(original, drawn),
            "ms_ssim": metrics.ms_ssim(original, drawn),
            "pca_mse": metrics.mse(original, run.principal(part)),
            "test_kl": anomaly_scores(run, part).kl,
        }
        for name, values in found.items():
            sums[name] = sums.get(name, 0.0) + float(values.double().sum())
    means = {name: value / len(images) for name, value in sums.items()}
    ratio = means["mse"] / means["pca_mse"] if means["pca_mse"] else float("inf")
    return {"test_images": float(len(images)), **means, "mse_ratio_pca": ratio}
