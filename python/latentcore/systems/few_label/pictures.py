"""Pictures of a few-label system."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from latentcore import plots
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.pictures import loss_figure, prior_grid, save_pictures, spread
from latentcore.models.objectives import names_of, objective_of
from latentcore.ops import rotate
from latentcore.systems.few_label.run import FewLabelRun

# shapes: (N, C, H, W) images

_SHOWN = 16  # images in a row of reconstructions
_ROTATED = 6  # images turned in the picture of rotations


def write_pictures(run: FewLabelRun, test: ImageSet, place: Path) -> list[Path]:
    """Draw a run's pictures into a folder `pictures` in `place`, and write `latents.npz` beside it.

    Losses, reconstructions and rotations; of two latent axes the manifold and the latents too.

    Returns:
        The files.
    """
    drawn = {"losses": loss_figure(run.folder, names_of(objective_of(run.model)))}
    drawn |= {"reconstructions": _reconstructions(run, test), "rotations": _rotations(test)}
    latents = run.encode(test.images)
    if run.model.config.latent == 2:
        drawn["manifold"] = plots.manifold(run.decode(prior_grid(run.model.prior)))
        drawn["latents"] = plots.latent_scatter(
            latents,
            test.labels,
            means=run.mixture.means_,
            covariances=run.mixture.covariances_,
        )
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
