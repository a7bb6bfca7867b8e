"""The peers that are installed, and the plain torch that users write."""

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_DISTRIBUTIONS = ("scikit-learn", "opencv-python-headless", "kornia", "torchvision", "scipy", "numpy")


def versions() -> dict[str, str]:
    """The versions of the peers that are installed."""
    found = {}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def module(name: str) -> ModuleType | None:
    """The module, or None where it is not installed or does not import beside this torch."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, AttributeError):
        return None


def with_compiled(eager: Callable[..., Any], arguments: tuple[Any, ...]) -> Mapping[str, Callable[[], Any]]:
    """Plain torch code as two contestants: as it stands, and under torch.compile."""
    torch.compiler.reset()
    compiled = torch.compile(eager)
    return {"eager": lambda: eager(*arguments), "compile": lambda: compiled(*arguments)}


def sample_and_divergence(mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """What training scripts write for reparameterisation and KL divergence."""
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    return z, -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(-1)


def bernoulli_loss(logits: Tensor, target: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """What training scripts write for the loss of a VAE."""
    reconstruction = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (reconstruction + kl) / len(logits)


def divergence(mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor) -> Tensor:
    """The KL divergence of every latent from a prior of its own, as conditional VAEs write it."""
    ratio = (logvar - prior_logvar).exp()
    return 0.5 * ((mu - prior_mu).pow(2) / prior_logvar.exp() + ratio - 1 - logvar + prior_logvar)


def sample_and_divergence_of_prior(
    mu: Tensor, logvar: Tensor, prior_mu: Tensor, prior_logvar: Tensor
) -> tuple[Tensor, Tensor]:
    """A step of a hierarchical VAE: samples, and the divergence of every latent for free bits."""
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    return z, divergence(mu, logvar, prior_mu, prior_logvar)


def conditional_loss(
    logits: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    prior_mu: Tensor,
    prior_logvar: Tensor,
    mask: Tensor,
    sample_weight: Tensor,
    pos_weight: Tensor,
) -> Tensor:
    """The loss of a conditional VAE on images with missing pixels, with weights of samples and positive pixels."""
    terms = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=pos_weight)
    rows = (terms * mask).sum(1) + divergence(mu, logvar, prior_mu, prior_logvar).sum(1)
    return (sample_weight * rows).sum() / sample_weight.sum()


def grid_sample_rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Rotation of square images by torch's own sampler."""
    angle = torch.deg2rad(degrees)
    zero = torch.zeros_like(angle)
    rows = ((angle.cos(), -angle.sin(), zero), (angle.sin(), angle.cos(), zero))
    theta = torch.stack([torch.stack(row, -1) for row in rows], 1).to(images.dtype)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
