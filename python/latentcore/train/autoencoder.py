"""Autoencoders that were trained: their run folders, ready for use."""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _checks, _config
from latentcore.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig
from latentcore.train.inputs import as_images, as_latents, to_unit
from latentcore.train.runs import Run, load_checkpoint

# shapes: (N, C, H, W) images, (N, L) latents

_KINDS: dict[str, tuple[type[VAE] | type[Autoencoder], type[VAEConfig] | type[AutoencoderConfig]]] = {
    "vae": (VAE, VAEConfig),
    "autoencoder": (Autoencoder, AutoencoderConfig),
}
_BATCH = 4096  # images at a time, so that memory does not grow with N


class AutoencoderRun(Run):
    """A trained VAE or autoencoder; the base of the systems that have one.

    Attributes:
        model: The trained model, in evaluation mode.
    """

    def __init__(self, folder: Path, config: dict[str, Any], model: VAE | Autoencoder) -> None:
        super().__init__(folder, config)
        self.model = model.eval()

    @classmethod
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        return cls(folder, config, load_autoencoder_checkpoint(folder, config))

    @torch.no_grad()
    def encode(self, images: Any) -> Tensor:
        """Latent means (N, L) of images (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], NumPy or torch."""
        batches = as_images(images, self.model.config.image_shape).split(_BATCH)
        return torch.cat([self._means(to_unit(batch.cpu())) for batch in batches])

    @torch.no_grad()
    def decode(self, z: Any) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        batches = as_latents(z, self.model.config.latent).split(_BATCH)
        return torch.cat([self.model.decode(batch.cpu()) for batch in batches])

    def reconstruct(self, images: Any) -> Tensor:
        """decode(encode(images)): images (N, C, H, W) in [0, 1]."""
        return self.decode(self.encode(images))

    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W), decoded from the standard normal prior."""
        _checks.integer("n", n, 1, 2**31)
        generator = torch.Generator().manual_seed(seed)
        return self.decode(torch.randn(n, self.model.config.latent, generator=generator))

    def _means(self, images: Tensor) -> Tensor:
        return self.model.encode(images)[0] if isinstance(self.model, VAE) else self.model.encode(images)


def load_autoencoder_checkpoint(folder: Path, config: dict[str, Any]) -> VAE | Autoencoder:
    """The model that `config` describes, with the weights of the folder's `checkpoints/model.pth`."""
    kind = next((kind for kind in _KINDS if kind in config), None)
    if kind is None:
        _checks.fail_value(str(folder / "config.json"), " or ".join(map(repr, _KINDS)), f"the fields {list(config)}")
    model_kind, config_kind = _KINDS[kind]
    plan = _config.from_plain(config_kind, config[kind], kind)
    return load_checkpoint(folder, lambda: model_kind(plan))
