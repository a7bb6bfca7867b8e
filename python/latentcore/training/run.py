"""A trained system, ready for use."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import inside, read_json
from latentcore._memory import bounded
from latentcore.data.convert import as_classes, as_images, as_latents, to_unit
from latentcore.models.priors import StandardNormal

# shapes: (N, C, H, W) images, (N, L) latents, (N,) labels

C = TypeVar("C")

_BATCH = 4096  # images at a time, so that memory does not grow with N


class Run(Generic[C]):
    """What a run folder holds, on the CPU unless a system says otherwise.

    Args:
        folder: The run folder.
        about: Content of `config.json`.
        config: The configuration in it.
        model: With the weights that were kept; it goes to evaluation mode, in float32.

    Attributes:
        folder, about, config, model: As given.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], config: C, model: nn.Module) -> None:
        self.folder, self.about, self.config = folder, about, config
        self.model: Any = model.eval().float()  # also where it was trained in float64

    @property
    def system(self) -> str:
        """The name of its system."""
        return str(self.about["system"])

    @property
    def metrics(self) -> dict[str, Any]:
        """Final figures, from `metrics.json`."""
        return read_json(inside(self.folder, self.folder / "metrics.json"))

    def classify(self, images: Any) -> Tensor:
        """Labels (N,) of images; a system without a classifier raises TypeError."""
        raise TypeError(f"classify: the system {self.system!r} of {self.folder} does not classify")


class CodingRun(Run[C]):
    """A trained VAE or autoencoder: it takes images to latents and back.

    A model of classes wants labels (N,) beside images and latents; the others want none.
    """

    @staticmethod
    def coder(model: Any) -> Any:
        """The part of a trained model that encodes and decodes."""
        return model

    @property
    def codes(self) -> bool:
        """Whether the model encodes and decodes, which one of somebody's own need not."""
        return hasattr(self.model, "encode") and hasattr(self.model, "decode")

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def encode(self, images: Any, labels: Any = None) -> Tensor:
        """Latent means (N, L) of images (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], NumPy or torch."""
        batches = as_images(images, self.model.config.image_shape).split(_BATCH)
        known = self._split_labels(labels, sum(map(len, batches)))
        return torch.cat([self._means(to_unit(batch.cpu()), *part) for batch, part in bounded(_pairs(batches, known))])

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def decode(self, z: Any, labels: Any = None) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        batches = as_latents(z, self.model.config.latent).split(_BATCH)
        known = self._split_labels(labels, sum(map(len, batches)))
        return torch.cat([self.model.decode(batch.cpu(), *part) for batch, part in bounded(_pairs(batches, known))])

    @torch_as_usual(gradients=False)
    def reconstruct(self, images: Any, labels: Any = None) -> Tensor:
        """decode(encode(images)): images (N, C, H, W) in [0, 1]."""
        return self.decode(self.encode(images, labels), labels)

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def sample(self, n: int, labels: Any = None, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W), decoded from the model's prior: from N(0, I) where it has none."""
        _errors.integer("n", n, 1, 2**31)
        generator = torch.Generator().manual_seed(seed)
        prior = getattr(self.model, "prior", StandardNormal(self.model.config.latent))
        return self.decode(prior.sample(n, generator), labels)

    def _means(self, images: Tensor, *labels: Tensor) -> Tensor:
        encoded = self.model.encode(images, *labels)
        means: Tensor = encoded[0] if isinstance(encoded, tuple) else encoded
        return means

    def _split_labels(self, labels: Any, count: int) -> list[tuple[Tensor, ...]]:
        """Of each batch, or nothing."""
        known = as_classes(labels, count, self.model.config.classes)
        return [()] * max(1, -(-count // _BATCH)) if known is None else [(part,) for part in known.split(_BATCH)]


def _pairs(batches: Any, labels: list[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    return zip(batches, labels, strict=True)
