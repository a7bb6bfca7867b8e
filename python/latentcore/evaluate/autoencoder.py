"""How well an autoencoder or a VAE draws what it has seen, and its pictures."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import _errors, metrics, plots
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.evaluate.latents import write_latents
from latentcore.evaluate.likelihood import likelihood_figures
from latentcore.evaluate.pictures import drawable, loss_figure, save_pictures, spread, ways
from latentcore.models import VAE
from latentcore.training.autoencoder import AutoencoderRun

# shapes: (N, C, H, W) images, (N, L) latents, T steps of a walk

SHOWN = 16  # images in a row
STEPS = 11  # of a walk from one image to another, and along an axis
_MOST_AXES = 10  # rows of traversals
_SIDE = 10  # samples along a side of their grid
_REACH = 2.5  # standard deviations of the prior, or of the latents, to which an axis is followed
_SCATTERED = 10_000  # latents in a picture
_NLL_SAMPLES = 100
_SSIM_SIDE = 7  # pixels along the window of the structural similarity
_PERPLEXITY = 30.0


def figures(run: AutoencoderRun, test: ImageSet) -> dict[str, float]:
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


def write_pictures(run: AutoencoderRun, test: ImageSet, *, tsne: bool = False, out: Path | None = None) -> list[Path]:
    """Draw a run's pictures into its folder, or into `out`.

    `losses.png`; `reconstructions.png`; `latents.png`, on the plane or its first two principal axes, and
    `latents3d.png` where there are more than two; `interpolation.png`, from a 3 to an 8 or from an image of the first
    class to one of the last; `traversals.png` and `traversals.gif`; of a VAE `samples.png`, and of one with two axes
    `manifold.png`; with labels of three classes or more `arithmetic.png`; where `tsne`, `tsne.png` of all test images,
    which takes minutes. `latents.npz` is written beside the pictures. Models that are told classes have neither
    `manifold.png` nor `arithmetic.png`. Principal axes are drawn where there are as many test images.

    Returns:
        The files.

    Raises:
        ValueError: Labels are missing where the model is told them, or there are fewer than four images for t-SNE.
    """
    place, labels = out or run.folder, labels_for(run, test)
    folder = place / "pictures"
    latents = run.encode(test.images, labels)
    write_latents(place, drawable(test.images), latents, test.labels)
    drawn: dict[str, Figure] = {"losses": loss_figure(run.folder, ("loss", "reconstruction", "kl"))}
    some = slice(0, SHOWN)
    names = None if labels is None else labels[some]
    drawn["reconstructions"] = plots.reconstructions(
        to_unit(drawable(test.images[some])), drawable(run.reconstruct(test.images[some], names))
    )
    drawn |= _scatters(latents, test.labels)
    if tsne:
        drawn["tsne"] = plots.tsne_scatter(_neighbours(latents), test.labels)
    drawn["interpolation"] = plots.interpolation(walks(run, test, latents))
    axes = _axes(run, latents)
    drawn["traversals"] = plots.traversals(axes)
    if isinstance(run.model, VAE):
        drawn["samples"] = plots.samples(prior_samples(run, _SIDE**2), _SIDE)
        if run.model.config.latent == 2 and labels is None:
            drawn["manifold"] = plots.manifold(drawable(run.decode(plots.normal_grid())))
    if test.labels is not None and labels is None and len(test.labels.unique()) >= 3:
        drawn["arithmetic"] = _arithmetic(run, test.labels, latents)
    there_and_back = torch.cat([axes, axes.flip(1)[:, 1:-1]], dim=1)
    plots.save_gif(plots.film(there_and_back), folder / "traversals.gif", enlarge=4)
    return [*save_pictures(folder, drawn), folder / "traversals.gif"]


def labels_for(run: AutoencoderRun, images: ImageSet) -> Tensor | None:
    """The labels that the run's model is told; None where it is told none."""
    return images.known_labels() if run.model.config.classes else None


def walks(run: AutoencoderRun, test: ImageSet, latents: Tensor) -> dict[str, Tensor]:
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


def prior_samples(run: AutoencoderRun, count: int) -> Tensor:
    """Samples of a VAE; of one that is told classes, all of them in turns."""
    classes = run.model.config.classes
    return drawable(run.sample(count, torch.arange(count) % classes if classes else None))


def _scatters(latents: Tensor, labels: Tensor | None) -> dict[str, Figure]:
    shown = spread(torch.arange(len(latents)), _SCATTERED)
    names = None if labels is None else labels[shown]
    found = {}
    if latents.shape[1] == 2:
        found["latents"] = plots.latent_scatter(latents[shown], names)
    elif min(latents.shape) >= 2:
        found["latents"] = plots.latent_projection(latents[shown], names)
    if min(latents.shape) >= 3:
        found["latents3d"] = plots.latent_projection(latents[shown], names, axes=3)
    return found


def _neighbours(latents: Tensor) -> Any:
    """Points (N, 2) of t-SNE, with fewer neighbours where there are few latents."""
    most = (len(latents) - 1) / 3
    if most < 1:
        _errors.fail_value("tsne", "at least 4 test images", len(latents))
    return plots.tsne(latents, perplexity=min(_PERPLEXITY, most))


def _axes(run: AutoencoderRun, latents: Tensor) -> Tensor:
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


def _arithmetic(run: AutoencoderRun, labels: Tensor, latents: Tensor) -> Figure:
    """Mean latents of three classes: a - b + c."""
    a, b, c = labels.unique().tolist()[:3]
    terms = [latents[labels == name].mean(0) for name in (a, b, c)]
    images = drawable(run.decode(torch.stack([*terms, terms[0] - terms[1] + terms[2]])))
    return plots.latent_arithmetic(
        images.unsqueeze(0), labels=[f"mean {a}", f"mean {b}", f"mean {c}", f"{a} − {b} + {c}"]
    )
