"""A loss that sees what people see: differences of features, not of pixels."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latentcore import _errors, metrics, ops
from latentcore._tensors import load_tensors
from latentcore.data.convert import to_unit
from latentcore.models.files import load_state
from latentcore.models.objectives import Terms, negative_elbo
from latentcore.systems.photographs.config import Kind, PerceptualConfig

# shapes: (B, C, H, W) images

_WEIGHTS = "vgg16-397923af.pth"  # as torchvision names the file that it downloads
_LAYERS = (3, 8, 15, 22)  # of its features: the last activation before each halving but the last
# of ImageNet's pixels, with which those weights were learned
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VGGFeatures(nn.Module):
    """Mean squared difference of the features of VGG16, the mean over four layers.

    Args:
        weights: The file that torchvision would download.

    Raises:
        ImportError: There is no torchvision.
        OSError: There is no such file.
        ValueError: The file is damaged, or of another network.

    Reference:
        Johnson, Alahi and Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", 2016.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Path) -> None:
        super().__init__()
        network = importlib.import_module("torchvision.models").vgg16(weights=None)
        load_state(network, load_tensors(weights), str(weights))
        self.features = network.features[: _LAYERS[-1] + 1].eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(_MEAN).view(-1, 1, 1))
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(-1, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The difference of images (B, 3, H, W) in [0, 1], the mean over the batch."""
        difference = a.new_zeros(())
        maps = (torch.cat([a, b]) - self.mean) / self.deviation
        for number, layer in enumerate(self.features):
            maps = layer(maps)
            if number in _LAYERS:
                difference = difference + F.mse_loss(*maps.chunk(2))
        return difference / len(_LAYERS)


class PerceptualELBO(Terms):
    """Negative ELBO plus a weight times a difference between what is decoded and the target.

    Args:
        difference: Of images (B, C, H, W) in [0, 1], the mean over the batch, differentiable.
        weight: Of it, in nats.
    """

    terms = (*ops.VAELoss._fields, "perceptual")

    def __init__(self, difference: Callable[[Tensor, Tensor], Tensor], weight: float) -> None:
        self._difference, self._weight = difference, weight

    def __call__(
        self, model: Any, batch: tuple[Tensor, Tensor], *, beta: float | Tensor, seed: int | Tensor
    ) -> tuple[Tensor, ...]:
        """Images go into the model; the target, uint8 or float in [0, 1], should come out."""
        images, target = batch
        out = model(images, seed=seed)
        nats = negative_elbo(model, out, target, beta)
        apart = self._difference(model.likelihood.mean(out.logits.float()), to_unit(target).float())
        return nats.loss + self._weight * apart, nats.reconstruction, nats.kl, apart


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """1 - multi-scale SSIM, the mean over the batch."""
    return 1 - metrics.ms_ssim(a, b).mean()


def chosen_kind(config: PerceptualConfig, channels: int) -> Kind:
    """What "auto" is on this machine; the others are what they are."""
    if config.kind != "auto":
        return config.kind
    try:
        difference_of("vgg16", channels, torch.device("cpu"))
    except ValueError:
        return "ms-ssim"
    return "vgg16"


def difference_of(kind: Kind, channels: int, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """The difference that a kind, "vgg16" or "ms-ssim", stands for.

    Raises:
        ValueError: VGG16 is wanted of other images than coloured ones, or it or its weights are not there.
    """
    if kind == "ms-ssim":
        return dissimilarity
    if channels != 3:
        _errors.fail_value("PerceptualConfig.kind", "'ms-ssim' for images of other than 3 channels", repr(kind))
    try:
        return VGGFeatures(weights_path()).to(device)
    except (ImportError, FileNotFoundError, RuntimeError) as error:  # of one that is built for another torch
        expected = f"torchvision, and its weights in {weights_path()}, for 'vgg16'"
        _errors.fail_value("PerceptualConfig.kind", expected, str(error))


def weights_path() -> Path:
    """Where torch keeps VGG16's weights."""
    return Path(torch.hub.get_dir()) / "checkpoints" / _WEIGHTS
