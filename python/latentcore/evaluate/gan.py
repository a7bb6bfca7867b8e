"""How well a GAN's samples resemble real images, as a classifier sees both, and its pictures."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import metrics, plots
from latentcore.data import ImageSet, read_image
from latentcore.data.convert import to_unit
from latentcore.evaluate.pictures import loss_figure, save_pictures, spread
from latentcore.training.classifier import ClassifierRun
from latentcore.training.gan import EPOCH_SIDE, GANRun

# shapes: (N, C, H, W) images, (N, L) latents, (N, F) features, K classes

SAMPLES = 10_000
_SIDE = 10  # samples along a side of their grid
_SHOWN = 16  # images in a row
_NEAREST = 10  # samples beside the training images next to them
_STOPS = 8  # latents that the walk passes
_STEPS = 12  # from one to the next
_ROWS = 4  # of the walk in its still picture


class Sampler(Protocol):
    """A run that draws images from its prior, such as a `GANRun` or a VAE's."""

    folder: Path

    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W) in [0, 1]."""


class Likeness(NamedTuple):
    """How much images resemble real ones.

    Attributes:
        frechet: Squared Fréchet distance of their features to those of the real images.
        coverage_error: How far the share of a class is from 1 / K, of the class that is farthest, in percentage points.
        shares: Of the classes among the images, as the classifier sees them. (K,), float64.
    """

    frechet: float
    coverage_error: float
    shares: Tensor


class Judge:
    """A classifier that compares images with real ones.

    Args:
        classifier: Sees the classes; its features are what its last layer reads.
        real: Real images that neither it nor the models have been trained on. (M, C, H, W) or (M, H, W), uint8 or float
            in [0, 1].

    Example:
        >>> judge = Judge(latentcore.load_run("runs/judge"), test.images)  # doctest: +SKIP
        >>> judge.likeness(latentcore.load_run("runs/gan").sample(10_000)).coverage_error  # doctest: +SKIP
        1.8
    """

    def __init__(self, classifier: ClassifierRun, real: Any) -> None:
        self._classifier = classifier
        self._real = classifier.features(real)

    @torch.no_grad()
    def likeness(self, images: Any) -> Likeness:
        """How much images (N, C, H, W), N >= 2, resemble the real ones."""
        features = self._classifier.features(images)
        logits = self._classifier.model.head(features)
        shares = logits.argmax(1).bincount(minlength=logits.shape[1]).double() / len(features)
        error = 100 * float((shares - 1 / len(shares)).abs().max())
        return Likeness(metrics.frechet_distance(features, self._real), error, shares)


def figures(
    run: GANRun,
    classifier: ClassifierRun,
    train: ImageSet,
    test: ImageSet,
    *,
    beside: Sampler | None = None,
    samples: int = SAMPLES,
) -> dict[str, float]:
    """Figures of a GAN's samples, of as many training images, which no model can be nearer than, and of another run's.

    Args:
        run: The GAN.
        classifier: Of the images' classes, trained on `train`.
        train: What the GAN was trained on.
        test: Real images to compare with.
        beside: A run whose samples are judged too, for example a VAE's.
        samples: Their number.

    Returns:
        ``frechet`` and ``coverage_error`` as `Likeness` has them, ``share_0`` and so on in percent; the first two with
        the ending ``_real`` for training images and ``_beside`` for the other run, and ``frechet_ratio``, that of the
        GAN over the other run's.
    """
    judge = Judge(classifier, test.images)
    own = judge.likeness(run.sample(samples))
    found = {"samples": float(samples), "frechet": own.frechet, "coverage_error": own.coverage_error}
    real = judge.likeness(spread(train.images, samples))
    found |= {"frechet_real": real.frechet, "coverage_error_real": real.coverage_error}
    if beside is not None:
        other = judge.likeness(beside.sample(samples))
        found |= {"frechet_beside": other.frechet, "coverage_error_beside": other.coverage_error}
        found["frechet_ratio"] = own.frechet / other.frechet if other.frechet else float("inf")
    return found | {f"share_{name}": 100 * float(share) for name, share in enumerate(own.shares)}


def write_pictures(
    run: GANRun, train: ImageSet, test: ImageSet, *, beside: Sampler | None = None, out: Path | None = None
) -> list[Path]:
    """Draw a run's pictures into its folder, or into `out`.

    `losses.png`; `samples.png`; `beside.png`, samples above test images, and above the other run's samples where there
    is one; `nearest.png`, samples above the training images that are nearest in their pixels, which shows whether the
    GAN has learned these by heart; `walk.png` and `walk.gif`, along great circles through latents; `epochs.gif`, what
    the same latents gave after each epoch.

    Returns:
        The files.
    """
    folder = (out or run.folder) / "pictures"
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
