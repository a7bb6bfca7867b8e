"""A VAE of one's own photographs: its training, and its runs, ready for use."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import read_config, write_json
from latentcore._memory import bounded
from latentcore.data import ImageFolder
from latentcore.data.convert import as_images, to_unit
from latentcore.data.hashes import fingerprint
from latentcore.models import SharpConfig, SharpVAE
from latentcore.models.objectives import NegativeELBO, Objective
from latentcore.training.autoencoder import AutoencoderRun
from latentcore.training.checkpoint import last_path, load_checkpoint, seconds_trained
from latentcore.training.config import TrainConfig
from latentcore.training.epoch_pictures import check_channels, pictures_of_epochs
from latentcore.training.loop import minimise
from latentcore.training.perceptual import PerceptualConfig, PerceptualELBO, chosen_kind, difference_of
from latentcore.training.principal import principal_axes
from latentcore.training.processes import alone
from latentcore.training.sources import Images
from latentcore.training.systems import begin, check_early_stop, check_same_data, configured, rate, resumable, seeded

# shapes: (N, C, H, W) images, (N, L) latents

SHOWN = 8  # images in a row of the picture of an epoch
_PART = 4096  # images at a time: those of a mapped file are not to be copied at once


@dataclass(frozen=True)
class PhotographsConfig(_config.Configuration):
    """Configuration of a VAE of photographs: its networks, its loss and its training; they have 1 channel or 3."""

    vae: SharpConfig = field(default_factory=SharpConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        check_channels("SharpConfig.image_shape", self.vae.image_shape)


class PhotographsRun(AutoencoderRun):
    """A trained VAE of photographs.

    Attributes:
        model: The trained `SharpVAE`, in evaluation mode.
        settings: The configuration with which it was trained.
    """

    model: SharpVAE

    def __init__(self, folder: Path, config: dict[str, Any], model: SharpVAE, settings: PhotographsConfig) -> None:
        super().__init__(folder, config, model)
        self.settings = settings

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        settings = configured(folder, "photographs", PhotographsConfig)
        return cls(folder, config, load_checkpoint(folder, lambda: SharpVAE(settings.vae)), settings)

    @torch_as_usual(gradients=False)
    def principal(self, images: Any) -> Tensor:
        """What the principal axes of the training photographs draw, as many as there are latents. (N, C, H, W)."""
        shown = as_images(images, self.model.config.image_shape)
        return torch.cat([self.model.project(to_unit(part.cpu())) for part in bounded(shown.split(_PART))])


@torch_as_usual()
def train_photographs(
    photographs: Any,
    config: PhotographsConfig,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    validation: Any = None,
    shown: Any = None,
    source: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> PhotographsRun:
    """Train a VAE on photographs and write its run folder, with a picture after every epoch.

    The networks begin at the principal axes of the photographs (`models.SharpVAE`). `pictures/epochs/<epochs>.png`
    shows some photographs, below them what the model draws of them, and images decoded from the prior, of the same
    latents each time.

    Args:
        photographs: A `data.ImageFolder`; or (N, C, H, W), uint8 or float in [0, 1]. N >= 2.
        config: The configuration; `training.presets.PHOTOGRAPHS` has measured ones. A perceptual term of kind
            "auto" is decided here, and kept in `config.json` as what it is.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        validation: Photographs by which the best weights are chosen; ``None`` keeps the last ones.
        shown: Photographs for the pictures of epochs; ``None`` takes those of the validation or the training.
        source: Where the photographs come from, as plain data; kept in `config.json`.
        held_out: What is kept back to judge by, as plain data; kept in `held_out.json`.

    Returns:
        The run, as `latentcore.load_run` opens it.

    Raises:
        FloatingPointError: The loss is not finite any more.
        TypeError: A dtype is unknown.
        ValueError: A shape or range does not fit, VGG16 is wanted and not there, or the folder holds a run already.

    Example:
        >>> import torch
        >>> from latentcore.models import SharpConfig
        >>> from latentcore.training import TrainConfig
        >>> from latentcore.training.photographs import PhotographsConfig, train_photographs
        >>> config = PhotographsConfig(vae=SharpConfig((3, 16, 16), 8, channels=(4, 8)), train=TrainConfig(epochs=1))
        >>> run = train_photographs(torch.rand(64, 3, 16, 16), config)
        >>> run.sample(3).shape
        torch.Size([3, 3, 16, 16])
    """
    images = _images(photographs, config, "photographs")
    if len(images) < 2:
        _errors.fail_value("photographs", "at least 2", len(images))
    check_early_stop(config.train, validation is not None, "the argument `validation`; commands have no option for it")
    kept_back, pictured = _others(config, validation, shown)
    kind = chosen_kind(config.perceptual, config.vae.image_shape[0])
    config = replace(config, perceptual=replace(config.perceptual, kind=kind))
    objective = _objective(config)
    folder = begin("photographs", config, _word(images), run_dir, source, held_out)
    return _train(folder, config, objective, images, kept_back, pictured)


@torch_as_usual()
def resume_photographs(
    folder: str | os.PathLike[str], photographs: Any, *, validation: Any = None, shown: Any = None
) -> PhotographsRun:
    """Go on with a run that was interrupted, with the same photographs, to the result it would have had.

    Raises:
        OSError: A file of the run is missing.
        ValueError: The photographs are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "photographs", PhotographsConfig)
    images = _images(photographs, config, "photographs")
    check_same_data(folder, "photographs", _word(images))
    return _train(folder, config, _objective(config), images, *_others(config, validation, shown))


def _train(
    folder: Path,
    config: PhotographsConfig,
    objective: Objective,
    images: Tensor,
    validation: Tensor | None,
    shown: Tensor | None,
) -> PhotographsRun:
    began = time.perf_counter() - seconds_trained(folder)
    with seeded(config.train.seed):
        model = SharpVAE(config.vae)
    if not last_path(folder).exists():  # which has the axes
        model.start_from(principal_axes(images, config.vae.latent, seed=config.train.seed))
    watch = pictures_of_epochs(folder, _drawing(model, images if shown is None else shown), SHOWN)
    source = Images(images, config.train.augmentation, config.train.reconstruct)
    held_out = None if validation is None else Images(validation)
    with resumable(folder):
        history = minimise(
            model, objective, source, config.train, folder, validation=held_out, resume=True, watch=watch
        )
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "images_per_second": rate(history),
        **{name: history[-1][name] for name in objective.figures(torch.zeros(objective.size))},
    }
    write_json(folder / "metrics.json", figures)
    return PhotographsRun.open(folder, read_config(folder))


def _objective(config: PhotographsConfig) -> Objective:
    wanted = config.perceptual
    if wanted.kind == "none" or not wanted.weight:
        return NegativeELBO()
    difference = difference_of(wanted.kind, config.vae.image_shape[0], alone(config.train).device)
    return PerceptualELBO(difference, wanted.weight)


def _drawing(model: SharpVAE, images: Tensor) -> Callable[[], Tensor]:
    """What draws some photographs, their reconstructions, and images of the prior."""
    rows = torch.linspace(0, len(images) - 1, SHOWN, dtype=torch.float64).long()
    shown = to_unit(images[rows])
    z = torch.randn(2 * SHOWN, model.config.latent, generator=torch.Generator().manual_seed(0))

    def draw() -> Tensor:
        like = next(model.parameters())  # of the device and the dtype that the model is trained in
        means, _ = model.encode(shown.to(like))
        return torch.cat([shown.to(like), model.decode(torch.cat([means, z.to(like)]))]).float()

    return draw


def _images(photographs: Any, config: PhotographsConfig, name: str) -> Tensor:
    given = photographs.images if isinstance(photographs, ImageFolder) else photographs
    return as_images(given, config.vae.image_shape, name)


def _others(config: PhotographsConfig, validation: Any, shown: Any) -> tuple[Tensor | None, Tensor | None]:
    """The photographs by which weights are chosen, and those of the pictures."""
    held_out = None if validation is None else _images(validation, config, "validation")
    return held_out, held_out if shown is None else _images(shown, config, "shown")


def _word(images: Tensor) -> str:
    return fingerprint(*images.split(_PART))
