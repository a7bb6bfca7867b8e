"""How well a VAE draws photographs that it has not seen, which of them are unlike the others, and its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import metrics, plots
from latentcore._files import printable
from latentcore._memory import bounded
from latentcore.data.convert import as_images, to_unit
from latentcore.evaluate._posteriors import batches, evaluating, reconstruction
from latentcore.evaluate.autoencoder import ways
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.pictures import loss_figure, save_pictures, spread, write_table
from latentcore.training.photographs import PhotographsRun

# shapes: (N, C, H, W) images, (N, L) latents

SHOWN = 12  # images in a row
STEPS = 11  # of a walk from one photograph to another
_SIDE = 8  # samples along a side of their grid
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
    texture counts too: without it a blurred photograph would be the most usual one.

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
            terms.append((drawn, 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)))
    drawn, kl = (torch.cat(parts) for parts in zip(*terms, strict=True))
    return Scores(drawn + run.settings.train.beta * kl, drawn, kl)


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


def write_pictures(
    run: PhotographsRun, images: Tensor, names: Sequence[object], *, out: Path | None = None
) -> list[Path]:
    """Draw a run's pictures into its folder, or into `out`, of photographs that it has not seen.

    `losses.png`; `reconstructions.png`, with what the principal axes draw; `interpolation.png`, between the two
    photographs whose latents are farthest from each other; `latents.png` and `latents3d.png`, the latents on their
    principal axes; `samples.png`, from the prior; `anomalies.png`, the photographs of the highest anomaly scores. All
    scores are in `anomalies.csv` beside the pictures, the highest first, and some latents in `latents.npz`.

    Args:
        run: The run.
        images: (N, C, H, W), uint8 or float in [0, 1]. N >= 2.
        names: What stands in the table for each of them, N.
        out: Where to write, instead of the run's folder.

    Returns:
        The files.
    """
    images = as_images(images, run.model.config.image_shape)
    scores, latents = anomaly_scores(run, images), run.encode(images)
    place = out or run.folder
    write_latents(place, images, latents)
    order = scores.score.argsort(descending=True, stable=True)
    rows = [
        {
            "photograph": printable(str(names[i])),
            **{term: float(values[i]) for term, values in scores._asdict().items()},
        }
        for i in order.tolist()
    ]
    terms = [term for term in ("loss", "reconstruction", "kl", "perceptual") if term in run.metrics]
    drawn: dict[str, Figure] = {
        "losses": loss_figure(run.folder, terms),
        "reconstructions": _compared(run, spread(images, SHOWN)),
        "interpolation": plots.interpolation(_walks(run, latents)),
        "samples": plots.samples(run.sample(_SIDE**2), _SIDE),
        "anomalies": _compared(run, images[order[:SHOWN]]),
        **_scatters(latents),
    }
    return [
        *save_pictures(place / "pictures", drawn),
        write_table(place / "pictures" / "anomalies.csv", rows),
    ]


def _compared(run: PhotographsRun, images: Tensor) -> Figure:
    rows = {"photographs": to_unit(images), "decoded": run.reconstruct(images)}
    return plots.comparison(rows | {"principal axes": run.principal(images).clamp(0, 1)})


def _walks(run: PhotographsRun, latents: Tensor) -> dict[str, Tensor]:
    """Decoded ways between two photographs that differ much."""
    first = int((latents - latents.mean(0)).square().sum(1).argmax())
    last = int((latents - latents[first]).square().sum(1).argmax())
    return ways(run, latents[first], latents[last], STEPS)


def _scatters(latents: Tensor) -> dict[str, Figure]:
    count = min(latents.shape)
    names = {axes: name for axes, name in ((2, "latents"), (3, "latents3d")) if count >= axes}
    return {name: plots.latent_projection(latents, axes=axes) for axes, name in names.items()}
