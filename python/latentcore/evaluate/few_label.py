"""How good a few-label system is, and its pictures."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from latentcore import metrics, plots
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.pictures import loss_figure, save_pictures, spread
from latentcore.ops import rotate
from latentcore.training.few_label import FewLabelRun

# shapes: (N, C, H, W) images

_SHOWN = 16  # images in a row of reconstructions
_ROTATED = 6  # images turned in the picture of rotations


def figures(run: FewLabelRun, test: ImageSet) -> dict[str, float]:
    """Figures of a run on labelled images, all from decode(encode(x)) and classify(x).

    Returns:
        ``accuracy``, macro ``precision``, ``recall`` and ``f1_macro``, ``f1`` = (macro + micro F1) / 2; ``ssim``,
        ``mse`` and ``psnr`` (dB), means over the images; ``test_images``, their number.
    """
    report = metrics.classification_report(test.known_labels(), run.classify(test.images))
    original, decoded = to_unit(test.images), run.reconstruct(test.images)
    return {
        "accuracy": report.accuracy,
        "precision": report.precision,
        "recall": report.recall,
        "f1_macro": report.f1_macro,
        "f1": report.f1_score,
        "ssim": float(metrics.ssim(original, decoded).mean()),
        "mse": float(metrics.mse(original, decoded).mean()),
        "psnr": float(metrics.psnr(original, decoded).mean()),
        "test_images": len(test),
    }


def plain_f1(mixture: Any, run: FewLabelRun, test: ImageSet) -> float:
    """The F1 score of another mixture in the latents of `run`."""
    predicted = mixture.predict_label(run.encode(test.images))
    return metrics.classification_report(test.known_labels(), predicted).f1_score


def write_pictures(run: FewLabelRun, test: ImageSet, *, out: Path | None = None) -> list[Path]:
    """Draw a run's pictures into its folder, or into `out`: losses, reconstructions, manifold, latents, rotations.

    Manifold and latents need two latent axes and are left out otherwise. `latents.npz` is written beside the pictures.

    Returns:
        The files.
    """
    drawn = {"losses": loss_figure(run.folder, ("loss", "reconstruction", "kl"))}
    drawn |= {"reconstructions": _reconstructions(run, test), "rotations": _rotations(test)}
    latents = run.encode(test.images)
    if run.model.config.latent == 2:
        drawn["manifold"] = plots.manifold(run.decode(plots.normal_grid()))
        drawn["latents"] = plots.latent_scatter(
            latents,
            test.labels,
            means=run.mixture.means_,
            covariances=run.mixture.covariances_,
        )
    place = out or run.folder
    write_latents(place, test.images, latents, test.labels)
    return save_pictures(place / "pictures", drawn)


def _reconstructions(run: FewLabelRun, test: ImageSet) -> Figure:
    shown = spread(test.images, _SHOWN)
    return plots.reconstructions(to_unit(shown), run.reconstruct(shown))


def _rotations(test: ImageSet) -> Figure:
    angles = [30.0 * step for step in range(12)]
    shown = spread(test.images, _ROTATED)
    turned = rotate(shown, torch.tensor(angles).expand(len(shown), -1), dtype=torch.float32)
    return plots.rotations(turned, angles)
