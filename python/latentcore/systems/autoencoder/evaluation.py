"""How well an autoencoder or a VAE draws what it has seen."""

from typing import Any

import torch
from torch import Tensor

from latentcore import metrics
from latentcore._memory import bounded
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.evaluate.likelihood import has_likelihood, likelihood_figures
from latentcore.models.objectives import flattened, objective_of
from latentcore.training.run import CodingRun
from latentcore.training.sources import Images

_NLL_SAMPLES = 100
_BATCH = 1024  # images at a time
_SSIM_SIDE = 7  # pixels along the window of the structural similarity


def figures(run: CodingRun[Any], test: ImageSet) -> dict[str, float]:
    """Figures of a run on test images, of decode(encode(x)); of a VAE those of its likelihood too.

    Returns:
        ``test_images``, their number; ``mse``, ``psnr`` (dB) and, of sides of at least 7 pixels, ``ssim``, means over
        the images; of a VAE, or a model that offers the same, what `likelihood_figures` has, nats per image. Of a
        model that does not encode and decode the terms of its objective, with ``test_`` before their names.
    """
    labels = labels_for(run, test)
    if not run.codes:
        return {"test_images": float(len(test)), **_terms(run, test.images, labels)}
    original, drawn = to_unit(test.images), run.reconstruct(test.images, labels)
    found = {
        "test_images": float(len(test)),
        "mse": float(metrics.mse(original, drawn).mean()),
        "psnr": float(metrics.psnr(original, drawn).mean()),
    }
    if min(original.shape[2:]) >= _SSIM_SIDE:
        found["ssim"] = float(metrics.ssim(original, drawn).mean())
    if has_likelihood(run.model, test.images, labels):
        found |= likelihood_figures(run.model, test.images, samples=_NLL_SAMPLES, labels=labels)
    return found


@torch.no_grad()
def _terms(run: CodingRun[Any], images: Tensor, labels: Tensor | None) -> dict[str, float]:
    """What the model was trained by, of images as they are."""
    objective, source = objective_of(run.model), Images(images, labels=labels)
    totals = torch.zeros(objective.size)
    for rows in bounded(torch.arange(len(images)).split(_BATCH)):
        terms = objective(run.model, source.batch(rows, None), beta=run.config.train.beta, seed=int(rows[0]))
        totals += len(rows) * flattened(objective, terms)
    return {f"test_{name}": value for name, value in objective.figures(totals / len(images)).items()}


def labels_for(run: CodingRun[Any], images: ImageSet) -> Tensor | None:
    """The labels that the run's model is told; None where it is told none."""
    return images.known_labels() if run.model.config.classes else None
