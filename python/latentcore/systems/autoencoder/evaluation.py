"""How well an autoencoder or a VAE draws what it has seen."""

from typing import Any

from torch import Tensor

from latentcore import metrics
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.evaluate.likelihood import likelihood_figures
from latentcore.models import VAE
from latentcore.training.run import CodingRun

_NLL_SAMPLES = 100
_SSIM_SIDE = 7  # pixels along the window of the structural similarity


def figures(run: CodingRun[Any], test: ImageSet) -> dict[str, float]:
    """Figures of a run on test images, of decode(encode(x)); of a VAE those of its likelihood too.

    Returns:
        ``test_images``, their number; ``mse``, ``psnr`` (dB) and, of sides of at least 7 pixels, ``ssim``, means over
        the images; of a VAE what `likelihood_figures` has, nats per image.
    """
    labels = labels_for(run, test)
    original, drawn = to_unit(test.images), run.reconstruct(test.images, labels)
    found = {
        "test_images": float(len(test)),
        "mse": float(metrics.mse(original, drawn).mean()),
        "psnr": float(metrics.psnr(original, drawn).mean()),
    }
    if min(original.shape[2:]) >= _SSIM_SIDE:
        found["ssim"] = float(metrics.ssim(original, drawn).mean())
    if isinstance(run.model, VAE):
        found |= likelihood_figures(run.model, test.images, samples=_NLL_SAMPLES, labels=labels)
    return found


def labels_for(run: CodingRun[Any], images: ImageSet) -> Tensor | None:
    """The labels that the run's model is told; None where it is told none."""
    return images.known_labels() if run.model.config.classes else None
