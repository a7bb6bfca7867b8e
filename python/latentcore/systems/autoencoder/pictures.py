"""Pictures of an autoencoder or a VAE."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import _errors, plots
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.pictures import drawable, loss_figure, prior_grid, save_pictures, spread, ways
from latentcore.models import Mixture, Prior
from latentcore.models.objectives import names_of, objective_of
from latentcore.systems.autoencoder.evaluation import labels_for
from latentcore.training.run import CodingRun

# shapes: (N, C, H, W) images, (N, L) latents, T steps of a walk

SHOWN = 16  # images in a row
STEPS = 11  # of a walk from one image to another, and along an axis
_MOST_AXES = 10  # rows of traversals
_SIDE = 10  # samples along a side of their grid
_REACH = 2.5  # standard deviations of the prior, or of the latents, to which an axis is followed
_SCATTERED = 10_000  # latents in a picture
_PERPLEXITY = 30.0
_LIGHT = 0.01  # weight of a component below which it is not drawn


def write_pictures(run: CodingRun[Any], test: ImageSet, place: Path, *, tsne: bool = False) -> list[Path]:
    """Draw a run's pictures into the folder `pictures` of `place`.

    `losses.png`; `reconstructions.png`; `latents.png`, on the plane or its first two principal axes, and
    `latents3d.png` where there are more than two; `interpolation.png`, from a 3 to an 8 or from an image of the
    first class to one of the last; `traversals.png` and `traversals.gif`; of a VAE `samples.png`, and of one with
    two axes `manifold.png`; with labels of three classes or more `arithmetic.png`; where
    `tsne`, `tsne.png` of all test images, which takes minutes. `latents.npz` is written beside the pictures. Models
    that are told classes have neither `manifold.png` nor `arithmetic.png`. Principal axes are drawn where there are
    as many test images. A mixture that is the prior of two axes is drawn in `latents.png`, but for components of less
    than 1 %. Of a model that does not encode and decode there are the losses alone.

    Returns:
        The files.

    Raises:
        ValueError: Labels are missing where the model is told them, or there are fewer than four images for t-SNE.
    """
    folder, labels = place / "pictures", labels_for(run, test)
    drawn: dict[str, Figure] = {"losses": loss_figure(run.folder, names_of(objective_of(run.model)))}
    if not run.codes:
        return save_pictures(folder, drawn)
    latents = run.encode(test.images, labels)
    write_latents(place, drawable(test.images), latents, test.labels)
    some = slice(0, SHOWN)
    names = None if labels is None else labels[some]
    drawn["reconstructions"] = plots.reconstructions(
        to_unit(drawable(test.images[some])), drawable(run.reconstruct(test.images[some], names))
    )
    drawn |= _scatters(latents, test.labels, getattr(run.model, "prior", None))
    if tsne:
        drawn["tsne"] = plots.tsne_scatter(_neighbours(latents), test.labels)
    drawn["interpolation"] = plots.interpolation(walks(run, test, latents))
    axes = _axes(run, latents)
    drawn["traversals"] = plots.traversals(axes)
    if hasattr(run.model, "prior"):
        drawn["samples"] = plots.samples(prior_samples(run, _SIDE**2), _SIDE)
        if run.model.config.latent == 2 and labels is None:
            drawn["manifold"] = plots.manifold(drawable(run.decode(prior_grid(run.model.prior))))
    if test.labels is not None and labels is None and len(test.labels.unique()) >= 3:
        drawn["arithmetic"] = _arithmetic(run, test.labels, latents)
    there_and_back = torch.cat([axes, axes.flip(1)[:, 1:-1]], dim=1)
    plots.save_gif(plots.film(there_and_back), folder / "traversals.gif", enlarge=4)
    return [*save_pictures(folder, drawn), folder / "traversals.gif"]


def walks(run: CodingRun[Any], test: ImageSet, latents: Tensor) -> dict[str, Tensor]:
    """The `ways` from an image of one class to one of another; a model that is told classes stays with the first."""
    first, last = ends(test)
    told = run.model.config.classes > 0
    labels = test.known_labels()[[first] * STEPS] if told else None
    return ways(run, latents[first], latents[last], STEPS, labels)


def ends(test: ImageSet) -> tuple[int, int]:
    """Numbers of two images: a 3 and an 8 where there are such, else of the first and the last class."""
    if test.labels is None:
        return 0, len(test) - 1
    classes = test.labels.unique().tolist()
    pair = (3, 8) if {3, 8} <= set(classes) else (classes[0], classes[-1])
    first = int((test.labels == pair[0]).nonzero()[0])
    last = int((test.labels == pair[1]).nonzero()[-1])
    return first, last


def prior_samples(run: CodingRun[Any], count: int) -> Tensor:
    """Samples of a VAE; of one that is told classes, all of them in turns."""
    classes = run.model.config.classes
    return drawable(run.sample(count, torch.arange(count) % classes if classes else None))


def _scatters(latents: Tensor, labels: Tensor | None, prior: Prior | None) -> dict[str, Figure]:
    shown = spread(torch.arange(len(latents)), _SCATTERED)
    names = None if labels is None else labels[shown]
    found = {}
    if latents.shape[1] == 2:
        found["latents"] = plots.latent_scatter(latents[shown], names, **_ellipses(prior))
    elif min(latents.shape) >= 2:
        found["latents"] = plots.latent_projection(latents[shown], names)
    if min(latents.shape) >= 3:
        found["latents3d"] = plots.latent_projection(latents[shown], names, axes=3)
    return found


def _ellipses(prior: Prior | None) -> dict[str, Any]:
    """The components of a mixture, but for those that hardly count, as `plots.latent_scatter` takes them."""
    if not isinstance(prior, Mixture):
        return {}
    mixture = prior.density.to_mixture()
    heavy = np.asarray(mixture.weights_) >= _LIGHT
    covariances, kind = np.asarray(mixture.covariances_), mixture.covariance_type
    covariances = covariances if kind == "tied" else covariances[heavy]
    return {"means": np.asarray(mixture.means_)[heavy], "covariances": covariances, "covariance_type": kind}


def _neighbours(latents: Tensor) -> Any:
    """Points (N, 2) of t-SNE, with fewer neighbours where there are few latents."""
    most = (len(latents) - 1) / 3
    if most < 1:
        _errors.fail_value("tsne", "at least 4 test images", len(latents))
    return plots.tsne(latents, perplexity=min(_PERPLEXITY, most))


def _axes(run: CodingRun[Any], latents: Tensor) -> Tensor:
    """What is drawn along the axes that tell most of the images, the widest first. (L', T, C, H, W)."""
    middle, width = latents.mean(0), latents.std(0, correction=0)
    chosen = width.argsort(descending=True)[:_MOST_AXES].tolist()
    steps = torch.linspace(-_REACH, _REACH, STEPS)
    rows = []
    for axis in chosen:
        path = plots.traversal(middle, axis, middle[axis] + steps * width[axis])
        labels = torch.zeros(STEPS, dtype=torch.int64) if run.model.config.classes else None
        rows.append(drawable(run.decode(path, labels)))
    return torch.stack(rows)


def _arithmetic(run: CodingRun[Any], labels: Tensor, latents: Tensor) -> Figure:
    """Mean latents of three classes: a - b + c."""
    a, b, c = labels.unique().tolist()[:3]
    terms = [latents[labels == name].mean(0) for name in (a, b, c)]
    images = drawable(run.decode(torch.stack([*terms, terms[0] - terms[1] + terms[2]])))
    return plots.latent_arithmetic(
        images.unsqueeze(0), labels=[f"mean {a}", f"mean {b}", f"mean {c}", f"{a} − {b} + {c}"]
    )
