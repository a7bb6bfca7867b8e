"""Pictures of what a VAE draws of photographs, and of those that are unlike the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from latentcore import plots
from latentcore._files import printable
from latentcore.data.convert import as_images, to_unit
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.pictures import loss_figure, save_pictures, spread, ways, write_table
from latentcore.systems.photographs.evaluation import Scores, anomaly_scores
from latentcore.systems.photographs.run import PhotographsRun

# shapes: (N, C, H, W) images, (N, L) latents

SHOWN = 12  # images in a row
STEPS = 11  # of a walk from one photograph to another
_SIDE = 8  # samples along a side of their grid


def write_pictures(run: PhotographsRun, images: Tensor, names: Sequence[object], folder: Path) -> list[Path]:
    """Draw a run's pictures, of photographs that it has not seen, into `folder`/pictures.

    `losses.png`; `reconstructions.png`, with what the principal axes draw; `interpolation.png`, between the two
    photographs whose latents are farthest from each other; `latents.png` and `latents3d.png`, the latents on their
    principal axes; `samples.png`, from the prior; `anomalies.png`, the photographs of the highest anomaly scores. All
    scores are in `anomalies.csv` beside the pictures, the highest first, and some latents in `latents.npz`.

    Args:
        run: The run.
        images: (N, C, H, W), uint8 or float in [0, 1]. N >= 2.
        names: What stands in the table for each of them, N.
        folder: Where to write, for example the run's folder.

    Returns:
        The files.
    """
    images = as_images(images, run.model.config.image_shape)
    scores, latents = anomaly_scores(run, images), run.encode(images)
    write_latents(folder, images, latents)
    order = scores.score.argsort(descending=True, stable=True)
    terms = [term for term in ("loss", "reconstruction", "kl", "perceptual") if term in run.metrics]
    drawn: dict[str, Figure] = {
        "losses": loss_figure(run.folder, terms),
        "reconstructions": _compared(run, spread(images, SHOWN)),
        "interpolation": plots.interpolation(_walks(run, latents)),
        "samples": plots.samples(run.sample(_SIDE**2), _SIDE),
        "anomalies": _compared(run, images[order[:SHOWN]]),
        **_scatters(latents),
    }
    table = [_row(names[place], scores, place) for place in order.tolist()]
    return [
        *save_pictures(folder / "pictures", drawn),
        write_table(folder / "pictures" / "anomalies.csv", table),
    ]


def _row(name: object, scores: Scores, place: int) -> dict[str, Any]:
    """A line of the table of scores."""
    values = {term: float(found[place]) for term, found in scores._asdict().items()}
    return {"photograph": printable(str(name)), **values}


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
