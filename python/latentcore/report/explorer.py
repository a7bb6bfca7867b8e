"""What the page's explorer needs of a run: its decoder, where its latents lie, its mixture, and what turns them."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentcore.evaluate.latents import Latents
from latentcore.mixture import GaussianMixture
from latentcore.models import BlockRotation
from latentcore.models.equivariant import Coupling
from latentcore.models.latent import LatentMLP, StepwiseMLP
from latentcore.plots.projections import pca
from latentcore.report.network import UnsupportedError, floats, layers_of

# shapes: (N, L) latents, K components, (P, L) axes of the plane

_REACH = 3.0  # of the plane, in standard deviations of the prior, where no latents are known
_BEYOND = 1.3  # the same of more than two axes, in typical lengths of a normal vector
_SAMPLES = 1000  # of another prior
_MARGIN = 0.06  # of the plane around the latents, of their extent
_MOST_AXES, _MOST_CLASSES, _MOST_VALUES = 2048, 1000, 1_000_000
_TRIED, _NEAR = 8, 1e-4  # latents that the page and the model must draw alike, and how near in [0, 1]
_TURNED = 10  # digits to choose from


def explorer(run: Any, latents: Latents | None) -> dict[str, Any]:
    """A run's explorer as plain data.

    Args:
        run: What `load_run` opened.
        latents: Some of its latents.

    Returns:
        ``decoder``, a list of layers; ``image``, (C, H, W); ``latent`` and ``classes``, their numbers; ``plane``, that
        is moved over, or None; ``mixture`` or None; ``turn``, the operator and the digits that it turns, or None.

    Raises:
        UnsupportedError: The run has no decoder that a page can evaluate, or the latents are not its own.
    """
    decoder = _decoder(run)
    config = run.model.config
    _check_sizes(config.latent, getattr(config, "classes", 0), config.image_shape)
    layers = layers_of(decoder)
    _check_drawn(run.model, decoder)
    if latents is not None and latents.z.shape[1] != config.latent:
        raise UnsupportedError("the latents in latents.npz are not this model's")
    found = {
        "decoder": layers,
        "image": list(config.image_shape),
        "latent": config.latent,
        "classes": getattr(config, "classes", 0),
        "plane": _plane(run.model, latents),
        "mixture": _mixture(run),
        "turn": None,
    }
    if getattr(run, "rotates", False):
        found["turn"] = _turn(run, latents)
    return found


def _check_sizes(latent: int, classes: int, image: tuple[int, ...]) -> None:
    """The page stays small, and what it draws at once too, whatever sizes a configuration names."""
    for words, size, most in (
        ("latent axes", latent, _MOST_AXES),
        ("classes", classes, _MOST_CLASSES),
        ("values in an image", math.prod(image), _MOST_VALUES),
    ):
        if size > most:
            raise UnsupportedError(f"the model has {size:,} {words}, more than the {most:,} that a page shows")


def _decoder(run: Any) -> nn.Sequential:
    """The layers from latents to the logits of pixels."""
    model = getattr(run, "model", None)
    for name in ("decoder", "generator"):
        layers = getattr(model, name, None)
        if isinstance(layers, nn.Sequential):
            return layers
        if layers is not None:
            raise UnsupportedError(f"the page does not evaluate the decoder of a {type(model).__name__}")
    raise UnsupportedError("the run has no decoder")


@torch.no_grad()
def _check_drawn(model: Any, decoder: nn.Sequential) -> None:
    """What the page draws, the sigmoid of what the decoder makes of latents, is what the model draws."""
    if not hasattr(model, "decode"):
        return
    classes, generator = getattr(model.config, "classes", 0), torch.Generator().manual_seed(0)
    z = torch.randn(_TRIED, model.config.latent, generator=generator)
    told = torch.arange(_TRIED) % max(1, classes)
    drawn = model.decode(z, told) if classes else model.decode(z)
    try:
        page = decoder(torch.cat([z, torch.eye(classes)[told]], 1) if classes else z).sigmoid()
        alike = drawn.shape == page.shape and torch.allclose(drawn, page, atol=_NEAR)
    except RuntimeError:  # other numbers than the latents go into the decoder
        alike = False
    if not alike:
        raise UnsupportedError(f"the page does not evaluate what a {type(model).__name__} makes of its decoder")


def _plane(model: Any, latents: Latents | None) -> dict[str, Any] | None:
    """That of latents; where none are known, of samples of the prior, or around N(0, I)."""
    latent, prior = model.config.latent, getattr(model, "prior", None)
    if latent < 2:
        return None
    if latents is not None and len(latents.z) >= 2:
        return _plane_of(latents.z, latents.labels, "latents")
    if prior is None or prior.standard:
        return _normal_plane(latent)
    samples = prior.sample(_SAMPLES, torch.Generator().manual_seed(0)).detach()
    if not bool(samples.isfinite().all()):
        raise UnsupportedError("samples of the prior are no finite numbers")
    plane = _plane_of(samples.numpy(), None, "samples")
    words = "The points are samples of the prior; there are no rings, for it is not N(0, I)."
    return plane | {"about": f"{words} {plane['about']}".strip()}


def _plane_of(z: Any, labels: Any, name: str) -> dict[str, Any]:
    """The latent plane itself; of more axes the plane of the two along which the latents (N, L) vary most."""
    latent = z.shape[1]
    centre, axes, about = np.zeros(latent), np.eye(2, latent), ""
    points = z.astype(np.float64)
    if latent > 2:
        centre = points.mean(0)
        points, _, axes = pca(points, 2)
        about = f"The plane is that of the {name}' first two principal axes, through their mean."
    # a few far away would make the plane of the others small
    low, high = np.quantile(points, 0.005, axis=0), np.quantile(points, 0.995, axis=0)
    margin = np.maximum(_MARGIN * (high - low), 1e-3)
    return {
        "about": about,
        "rings": [],
        "centre": floats(centre),
        "axes": floats(axes),
        "low": (low - margin).tolist(),
        "high": (high + margin).tolist(),
        "start": points[0].tolist(),  # an image of the data, not the void between them
        "points": floats(points),
        "labels": None if labels is None else labels.tolist(),
    }


def _normal_plane(latent: int) -> dict[str, Any]:
    """A plane through the origin of N(0, I); of more than two axes a random one, which is none of the axes."""
    axes, reach, start = np.eye(2), _REACH, 0.0
    about, rings = "The rings are one and two standard deviations of the prior.", [1.0, 2.0]
    if latent > 2:
        axes = np.linalg.qr(np.random.default_rng(0).normal(size=(latent, 2)))[0].T
        start = latent**0.5  # nearly all of a normal prior lies so far from its origin
        reach = max(_REACH, _BEYOND * start)
        about = "The plane is any one through the prior's middle; samples lie about as far from it as the ring."
        rings = [start]
    sides = {"low": [-reach] * 2, "high": [reach] * 2, "start": [0.0, start]}
    return {"about": about, "rings": rings, "centre": floats(np.zeros(latent)), "axes": floats(axes), **sides}


def _mixture(run: Any) -> dict[str, Any] | None:
    """The mixture of a run that has one, with the classes that its components stand for."""
    mixture = getattr(run, "mixture", None)
    if not isinstance(mixture, GaussianMixture) or not hasattr(mixture, "classes_"):
        return None
    K, D = np.shape(mixture.means_)
    if K * D * D > _MOST_VALUES:
        raise UnsupportedError(f"the mixture has {K:,} components of {D:,} axes, more than a page carries")
    return {
        "classes": [int(name) for name in mixture.classes_],
        "weights": floats(mixture.weights_),
        "means": floats(mixture.means_),
        "factors": floats(full_factors(mixture)),
        "table": floats(mixture.component_label_proba_),
    }


def full_factors(mixture: GaussianMixture) -> np.ndarray[Any, Any]:
    """Its `precisions_cholesky_` as a matrix for each component, (K, D, D), whatever its covariances are."""
    factors, (K, D) = np.asarray(mixture.precisions_cholesky_, np.float64), np.shape(mixture.means_)
    if mixture.covariance_type == "full":
        return factors
    if mixture.covariance_type == "tied":
        return np.broadcast_to(factors, (K, D, D))
    diagonal = factors if mixture.covariance_type == "diag" else factors[:, None]
    return np.eye(D) * np.broadcast_to(diagonal, (K, D))[:, None]


def _turn(run: Any, latents: Latents | None) -> dict[str, Any] | str:
    """The operator and some upright digits; where the page cannot turn them, a sentence why."""
    if latents is None:
        return "There are no latents of test images to turn."
    try:
        operator = _operator(run.operator)
    except UnsupportedError as error:
        return f"The page cannot turn latents: {error}."
    places = _one_of_each(latents)
    names = places if latents.labels is None else latents.labels[places].tolist()
    return {**operator, "places": places, "names": names, "z": floats(latents.z[places])}


def _operator(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, BlockRotation):
        chart = [_coupling(layer) for layer in module.chart]
        with torch.no_grad():
            basis: Tensor = module.orthogonal()
        return {
            "kind": "equivariant",
            "basis": floats(basis),
            "frequencies": floats(module.frequencies),
            "chart": chart,
        }
    if isinstance(module, LatentMLP):
        return {"kind": "mlp", "network": layers_of(module.network)}
    if isinstance(module, StepwiseMLP):
        return {"kind": "step", "step": module.step, "turn": module.turn, "network": layers_of(module.network)}
    raise UnsupportedError(f"it does not evaluate the operator {type(module).__name__}")


def _coupling(layer: nn.Module) -> dict[str, Any]:
    assert isinstance(layer, Coupling)  # ModuleList forgets the kind of its members
    return {"cut": layer.cut, "flipped": layer.flipped, "network": layers_of(layer.network)}


def _one_of_each(latents: Latents) -> list[int]:
    """The first image of each class, as far as there is room; without labels the first ones."""
    if latents.labels is None:
        return list(range(min(_TURNED, len(latents.z))))
    firsts: list[int] = np.unique(latents.labels, return_index=True)[1].tolist()
    return firsts[:_TURNED]
