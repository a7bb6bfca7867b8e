"""GANs: their training, and their runs, ready for use."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import read_config, write_json
from latentcore._memory import bounded
from latentcore.data.convert import as_images, as_latents
from latentcore.data.hashes import fingerprint
from latentcore.models import GAN, GANConfig
from latentcore.training.adversarial import Adversarial
from latentcore.training.checkpoint import seconds_trained
from latentcore.training.config import TrainConfig
from latentcore.training.epoch_pictures import check_channels, pictures_of_epochs
from latentcore.training.loop import minimise
from latentcore.training.runs import Run, load_checkpoint
from latentcore.training.sources import Images
from latentcore.training.systems import begin, check_early_stop, check_same_data, configured, rate, resumable, seeded

# shapes: (N, C, H, W) images, (N, L) latents

_BATCH = 2048  # images at a time, so that memory does not grow with N
EPOCH_SIDE = 8  # samples along a side of the picture of an epoch


@dataclass(frozen=True)
class GANTraining(_config.Configuration):
    """Configuration of a GAN: its networks, its loss and its training; images have 1 channel or 3."""

    gan: GANConfig = field(default_factory=GANConfig)
    loss: Adversarial = field(default_factory=Adversarial)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        check_channels("GANConfig.image_shape", self.gan.image_shape)

    def for_images(self, shape: Sequence[int]) -> Self:
        """The same for images of another size, (C, H, W)."""
        channels, height, width = shape
        return replace(self, gan=replace(self.gan, image_shape=(channels, height, width)))


class GANRun(Run):
    """A trained GAN.

    Attributes:
        model: The model, in evaluation mode.
    """

    def __init__(self, folder: Path, config: dict[str, Any], model: GAN) -> None:
        super().__init__(folder, config)
        self.model = model.eval().float()  # also where it was trained in float64

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        gan = _config.from_plain(GANConfig, config.get("gan"), f"{folder / 'config.json'}: gan")
        return cls(folder, config, load_checkpoint(folder, lambda: GAN(gan)))

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def decode(self, z: Any) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        batches = as_latents(z, self.model.config.latent).split(_BATCH)
        return torch.cat([self.model.draw(batch.cpu()) for batch in bounded(batches)])

    @torch_as_usual(gradients=False)
    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W), decoded from the standard normal prior."""
        _errors.integer("n", n, 1, 2**31)
        return self.decode(_prior(n, self.model.config.latent, seed))


@torch_as_usual()
def train_gan(
    images: Any,
    config: GANTraining,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> GANRun:
    """Train a GAN and write its run folder.

    Args:
        images: (N, H, W) or (N, C, H, W), uint8 or float in [0, 1].
        config: The configuration; `latentcore.training.presets` has a measured one.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        source: Where the images come from, as plain data; kept in `config.json`.
        held_out: What is kept back to judge by, as plain data; kept in `held_out.json`.

    Returns:
        The run, as `latentcore.load_run` opens it.

    Raises:
        FloatingPointError: The loss is not finite any more.
        TypeError: A dtype is unknown.
        ValueError: A shape or range does not fit, or the folder holds a run already.

    Example:
        >>> import torch
        >>> from latentcore.models import GANConfig
        >>> from latentcore.training import TrainConfig
        >>> from latentcore.training.gan import GANTraining, train_gan
        >>> config = GANTraining(gan=GANConfig(channels=(4, 8), hidden=16), train=TrainConfig(epochs=1))
        >>> run = train_gan(torch.rand(256, 28, 28), config)
        >>> run.sample(3).shape
        torch.Size([3, 1, 28, 28])
    """
    pictures = as_images(images, config.gan.image_shape)
    check_early_stop(config.train, False, "this system takes none")
    folder = begin("gan", config, fingerprint(pictures), run_dir, source, held_out)
    return _train(folder, config, pictures)


@torch_as_usual()
def resume_gan(folder: str | os.PathLike[str], images: Any) -> GANRun:
    """Go on with a run that was interrupted, with the same images, to the result it would have had.

    Raises:
        OSError: A file of the run is missing.
        ValueError: The images are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "gan", GANTraining)
    pictures = as_images(images, config.gan.image_shape)
    check_same_data(folder, "images", fingerprint(pictures))
    return _train(folder, config, pictures)


def _train(folder: Path, config: GANTraining, images: Tensor) -> GANRun:
    began = time.perf_counter() - seconds_trained(folder)
    with seeded(config.train.seed):
        model = GAN(config.gan)
    source = Images(images, config.train.augmentation, binarise=config.train.binarise)
    watch = pictures_of_epochs(folder, _samples_of(model), EPOCH_SIDE)
    with resumable(folder):
        history = minimise(model, config.loss, source, config.train, folder, resume=True, watch=watch)
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "images_per_second": rate(history),
        **{term: history[-1][term] for term in Adversarial.terms},
    }
    write_json(folder / "metrics.json", figures)
    return GANRun.open(folder, read_config(folder))


def _samples_of(model: GAN) -> Callable[[], Tensor]:
    """What draws the images of the same latents each time."""
    z = _prior(EPOCH_SIDE**2, model.config.latent, seed=0)

    def draw() -> Tensor:
        # of the device and the dtype that the model is trained in
        return model.draw(z.to(next(model.parameters()))).float()

    return draw


def _prior(n: int, latent: int, seed: int) -> Tensor:
    return torch.randn(n, latent, generator=torch.Generator().manual_seed(seed))
