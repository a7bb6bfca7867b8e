"""Pictures of a system that transforms images in its latent space."""

from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import plots
from latentcore.data import ImageSet, transformed
from latentcore.evaluate.angles import ANGLES, moves
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.pictures import loss_figure, save_pictures, spread, write_table
from latentcore.systems.rotation.evaluation import Measured, on_canvas
from latentcore.systems.rotation.pairs import transformable
from latentcore.systems.rotation.run import RotationRun

# shapes: R images shown, A angles, (R, A, C, H, W) images

_SHOWN = 4  # digits in the grid of angles and among the orbits
_COMPARED = 16  # images in a row of scaled and translated ones
_FINE = tuple(10.0 * step for step in range(36))  # angles of the film and of the orbits


def write_pictures(run: RotationRun, test: ImageSet, measured: Measured, place: Path) -> list[Path]:
    """Draw a run's pictures into `place`/pictures, and all that was measured as a table.

    Rotations give `angles.png` (a row per method, a column per angle), `psnr.png` (over the angle), `orbit.png`
    (latents while their images turn) and `turning.gif`; scales and translations `transformed.png`; all `losses.png`
    and `qualities.csv`. `latents.npz` is written beside the pictures.

    Returns:
        The files.
    """
    folder, images = place / "pictures", on_canvas(run, test.images)
    write_latents(place, images, run.encode(images), test.labels)
    drawn = {"losses": loss_figure(run.folder, ("loss", "reconstruction", "kl"))}
    others = []
    if measured.moved is not None:
        drawn["transformed"] = _transformed(run, spread(images, _COMPARED))
    if measured.seen:
        shown, names = _one_of_each(images, test.labels)
        fine = run.possible(_FINE)
        drawn["angles"] = _angles(run, shown[:_SHOWN])
        drawn["psnr"] = _psnr(measured)
        if run.model.config.latent > 1:
            drawn["orbit"] = plots.orbit(_orbits(run, shown[:_SHOWN], fine), fine, labels=names[:_SHOWN])
        plots.save_gif(plots.film(_turned(run, shown, fine)), folder / "turning.gif", enlarge=4)
        others = [folder / "turning.gif"]
    return [*save_pictures(folder, drawn), *others, write_table(folder / "qualities.csv", measured.table())]


def _one_of_each(images: Tensor, labels: Tensor | None) -> tuple[Tensor, list[str]]:
    """The first image of each class, in an order whose first ones look most alike upside down; without labels, some."""
    if labels is None:
        some = spread(images, 10)
        return some, [str(place) for place in range(len(some))]
    classes = sorted(labels.unique().tolist(), key=lambda c: (c not in (2, 4, 7, 3), c))
    return torch.stack([images[labels == c][0] for c in classes]), [str(c) for c in classes]


def _truly_turned(images: Tensor, angles: Sequence[float]) -> Tensor:
    """(R, A, C, H, W) by rotation of the pixels."""
    return torch.stack([transformed(images, moves(len(images), angle)) for angle in angles], dim=1)


def _turned(run: RotationRun, images: Tensor, angles: Sequence[float]) -> Tensor:
    """(R, A, C, H, W) by rotation of the latents."""
    return torch.stack([run.decode(z) for z in _orbits(run, images, angles).unbind(1)], dim=1)


def _orbits(run: RotationRun, images: Tensor, angles: Sequence[float]) -> Tensor:
    """Latents (R, A, L) while their images turn."""
    z = run.encode(images)
    return torch.stack([run.transform(z, angle) for angle in angles], dim=1)


def _angles(run: RotationRun, images: Tensor) -> Figure:
    true = _truly_turned(images, ANGLES).clamp(0, 1)
    direct = run.reconstruct(true.flatten(0, 1)).view(true.shape)
    z, composed = run.encode(images), []
    for _ in ANGLES:
        composed.append(run.decode(z))
        z = run.transform(z, ANGLES[1])
    rows = {
        "true": true,
        "reconstructed": direct,
        "turned in latent space": _turned(run, images, ANGLES),
        "step by step": torch.stack(composed, dim=1),
    }
    return plots.angle_grid(rows, ANGLES)


def _psnr(measured: Measured) -> Figure:
    curves = {
        "direct reconstruction": [quality.ceiling_psnr for quality in measured.seen.values()],
        "turned in latent space": [quality.psnr for quality in measured.seen.values()],
        "step by step": [measured.after[angle or 360.0].psnr for angle in ANGLES],
    }
    return plots.psnr_curve(curves, ANGLES)


def _transformed(run: RotationRun, images: Tensor) -> Figure:
    parameters = transformable(images, run.config.pairs).parameters_of(
        torch.rand(len(images), 4, generator=torch.Generator().manual_seed(0))
    )
    true = transformed(images, parameters).clamp(0, 1)
    angle, scale, right, down = parameters.unbind(1)
    z = run.transform(run.encode(images), angle, scale=scale, translate=(right, down))
    return plots.comparison(
        {
            "original": images / 255,
            "true": true,
            "reconstructed": run.reconstruct(true),
            "in latent space": run.decode(z),
        }
    )
