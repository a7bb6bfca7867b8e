"""Pictures of what a GAN draws."""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import plots
from latentcore.data import ImageSet, read_image
from latentcore.data.convert import to_unit
from latentcore.evaluate.pictures import loss_figure, save_pictures, spread
from latentcore.systems.gan.evaluation import Sampler
from latentcore.systems.gan.run import GANRun
from latentcore.systems.gan.training import EPOCH_SIDE

# shapes: (N, C, H, W) images, (N, L) latents

_SIDE = 10  # samples along a side of their grid
_SHOWN = 16  # images in a row
_NEAREST = 10  # samples beside the training images next to them
_STOPS = 8  # latents that the walk passes
_STEPS = 12  # from one to the next
_ROWS = 4  # of the walk in its still picture


def write_pictures(
    run: GANRun, train: ImageSet, test: ImageSet, folder: Path, *, beside: Sampler | None = None
) -> list[Path]:
    """Draw a run's pictures into a folder.

    `losses.png`; `samples.png`; `beside.png`, samples above test images, and above the other run's samples where there
    is one; `nearest.png`, samples above the training images that are nearest in their pixels, which shows whether the
    GAN has learned these by heart; `walk.png` and `walk.gif`, along great circles through latents; `epochs.gif`, what
    the same latents gave after each epoch.

    Returns:
        The files.
    """
    drawn: dict[str, Figure] = {"losses": loss_figure(run.folder, ("discriminator", "generator", "real", "fake"))}
    grid = run.sample(_SIDE**2)
    drawn["samples"] = plots.samples(grid, _SIDE)
    real = to_unit(spread(test.images, _SHOWN))
    rows = {"samples": grid[: len(real)], "test images": real}
    if beside is not None:
        rows[beside.folder.name] = beside.sample(len(real))
    drawn["beside"] = plots.comparison(rows)
    drawn["nearest"] = _nearest(grid[:_NEAREST], train.images)
    walk = _walk(run)
    names = [f"{start + 1} to {start + 2}" for start in range(_ROWS)]
    drawn["walk"] = plots.interpolation(dict(zip(names, walk, strict=False)), ends=("", ""))
    plots.save_gif(walk[:, :-1].flatten(0, 1), folder / "walk.gif")
    return [*save_pictures(folder, drawn), folder / "walk.gif", *_film_of_epochs(run, folder)]


def _walk(run: GANRun) -> Tensor:
    """Images on great circles from each of some latents to the next, back to the first. (S, T, C, H, W)."""
    stops = torch.randn(_STOPS, run.model.config.latent, generator=torch.Generator().manual_seed(0))
    ways = zip(stops, stops.roll(-1, 0), strict=True)
    return torch.stack([run.decode(plots.interpolate(a, b, _STEPS + 1, "spherical")) for a, b in ways])


def _nearest(samples: Tensor, train: Tensor) -> Figure:
    """Samples above the training images with the least squared distance."""
    known = to_unit(train).flatten(1)
    found = torch.cdist(samples.flatten(1), known).argmin(1)
    return plots.comparison({"samples": samples, "nearest in training": to_unit(train[found])})


def _film_of_epochs(run: GANRun, folder: Path) -> list[Path]:
    """`epochs.gif` of the pictures that the training left, where there are several."""
    channels, height, width = run.model.config.image_shape
    shape = (channels, EPOCH_SIDE * (height + 1) - 1, EPOCH_SIDE * (width + 1) - 1)
    frames = [read_image(path, shape) for path in sorted(run.folder.glob("pictures/epochs/*.png"))]
    if len(frames) < 2:
        return []
    plots.save_gif(to_unit(torch.stack(frames)), folder / "epochs.gif", milliseconds=400, enlarge=2)
    return [folder / "epochs.gif"]
