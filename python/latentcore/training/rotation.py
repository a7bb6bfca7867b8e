"""Transformations in latent space: a VAE, and what a rotation of an image does to its latents."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import read_config, write_json
from latentcore.data import ImageSet
from latentcore.data.convert import as_bytes, as_column, as_labels, as_latents
from latentcore.data.hashes import fingerprint
from latentcore.models import VAE, LatentConfig, TransformingVAE, VAEConfig, build_operator
from latentcore.training.autoencoder import AutoencoderRun
from latentcore.training.checkpoint import load_checkpoint, seconds_trained
from latentcore.training.config import TrainConfig
from latentcore.training.folder import create_run
from latentcore.training.loop import fit, minimise
from latentcore.training.objectives import TransformationLoss
from latentcore.training.pairs import Pairs, PairsConfig
from latentcore.training.systems import begin, check_early_stop, check_same_data, configured, rate, resumable, seeded

# shapes: (N, C, H, W) images, (N, L) latents, (N, 4) parameters: degrees, scale, pixels right, pixels down

_BATCH = 4096  # latents at a time
_VAE = "vae"  # folder in the run's folder, and name in its configuration


@dataclass(frozen=True)
class RotationConfig(_config.Configuration):
    """Configuration of the system: its VAE, its latent transformation, and how both are trained.

    Attributes:
        vae: The VAE.
        operator: The transformation of its latents.
        pairs: Which transformations of images are learned.
        loss: What is minimised.
        train: The training of both together, or of the transformation alone.
        vae_train: A training of the VAE alone that comes first; the VAE is frozen then. None trains both together.
    """

    vae: VAEConfig = field(default_factory=VAEConfig)
    operator: LatentConfig = field(default_factory=LatentConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    loss: TransformationLoss = field(default_factory=TransformationLoss)
    train: TrainConfig = field(default_factory=TrainConfig)
    vae_train: TrainConfig | None = None

    def __post_init__(self) -> None:
        _config.check_types(self)
        if self.operator.rotations_only and not self.pairs.rotations_only:
            expected = f"scale (1, 1) and translate 0: {self.operator.model!r} only rotates"
            _errors.fail_value("RotationConfig.pairs", expected, self.pairs)
        self._check_steps()
        if self.vae_train is not None and self.vae_train.augmentation.degrees and self.pairs.upright_labels:
            expected = "none where the VAE is trained on turned images of all classes"
            _errors.fail_value("RotationConfig.pairs.upright_labels", expected, self.pairs.upright_labels)
        if self.vae_train is None and not self.loss.image:
            _errors.fail_value("RotationConfig.loss", "a weight of the image, where the VAE is trained too", self.loss)
        shape, canvas = self.vae.image_shape, self.pairs.canvas
        if canvas and shape[1:] != (canvas, canvas):
            _errors.fail_value("RotationConfig.vae.image_shape", f"the canvas, {canvas} x {canvas}", shape)

    def _check_steps(self) -> None:
        """A "step" model is trained on whole steps, and can be asked for the twelve angles of an evaluation."""
        step, angles = self.operator.step, self.pairs.angles
        if self.operator.model != "step":
            return
        if not _whole(30 / step):
            _errors.fail_value("RotationConfig.operator.step", "a divisor of 30 degrees", step)
        if not angles or not all(_whole(angle / step) for angle in angles):
            _errors.fail_value("RotationConfig.pairs.angles", f"multiples of the step, {step:g} degrees", angles)


class RotationRun(AutoencoderRun):
    """A trained system that transforms latents.

    Attributes:
        operator: The latent transformation, in evaluation mode.
        settings: The configuration.
    """

    def __init__(self, folder: Path, config: dict[str, Any], model: TransformingVAE, settings: RotationConfig) -> None:
        super().__init__(folder, config, model.vae)
        self.operator = model.operator.float().eval()
        self.settings = settings

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        settings = configured(folder, "rotation", RotationConfig)
        return cls(folder, config, load_checkpoint(folder, lambda: _build(settings)), settings)

    @property
    def rotates(self) -> bool:
        """Whether rotations were learned."""
        return self.settings.pairs.angles != (0.0,)

    @torch_as_usual(gradients=False)
    def possible(self, angles: Sequence[float]) -> list[float]:
        """Those of the angles that this run can turn by: a "step" model knows whole steps only."""
        operator = self.settings.operator
        if operator.model != "step":
            return list(angles)
        return [angle for angle in angles if _whole(angle / operator.step)]

    @property
    def orientations(self) -> frozenset[float] | None:
        """The degrees at which training has seen images, in [0, 360); None for any."""
        alone, angles = self.settings.vae_train, self.settings.pairs.angles
        if not angles or (alone is not None and alone.augmentation.degrees):
            return None
        return frozenset(angle % 360 for angle in angles)

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def transform(self, z: Any, angle: Any = 0.0, *, scale: Any = 1.0, translate: Any = (0.0, 0.0)) -> Tensor:
        """Latents (N, L) of the transformed images, for latents z (N, L) of images.

        Args:
            z: Latents, as `encode` gives them.
            angle: Degrees, counter-clockwise as displayed: a number or (N,). A "step" model takes whole steps.
            scale: Magnification, above 0: a number or (N,).
            translate: Pixels to the right and down: numbers or (N,).

        Raises:
            ValueError: A number is NaN, infinite, or of a kind that this run has not learned.
        """
        latents = as_latents(z, self.model.config.latent).cpu()
        if not (isinstance(translate, tuple | list) and len(translate) == 2):
            _errors.fail_value("translate", "a pair (right, down)", translate)
        values = {"angle": angle, "scale": scale, "translate[0]": translate[0], "translate[1]": translate[1]}
        parameters = torch.stack([as_column(name, value, len(latents)) for name, value in values.items()], dim=1)
        self._check_known(parameters)
        parameters[:, 0] %= 360  # before digits are dropped
        parts = zip(latents.split(_BATCH), parameters.float().split(_BATCH), strict=True)
        return torch.cat([self.operator(latent, told) for latent, told in parts])

    def _check_known(self, parameters: Tensor) -> None:
        angle, scale, shift = parameters[:, 0], parameters[:, 1], parameters[:, 2:]
        if bool((scale.float() <= 0).any()):  # one that float32 takes for 0 is none
            _errors.fail_value("scale", "numbers above 0", float(scale.min()))
        operator, pairs = self.settings.operator, self.settings.pairs
        if pairs.scale == (1.0, 1.0) and bool((scale != 1).any()):
            _errors.fail_value("scale", "1: this run has learned no scales", "others")
        if not pairs.translate and bool((shift != 0).any()):
            _errors.fail_value("translate", "(0, 0): this run has learned no translations", "others")
        if not self.rotates and bool((angle != 0).any()):
            _errors.fail_value("angle", "0: this run has learned no rotations", "others")
        if operator.model == "step" and not _whole(angle / operator.step):
            _errors.fail_value("angle", f"multiples of {operator.step:g} degrees, the step of this run", "others")


@torch_as_usual()
def train_rotation(
    images: Any,
    config: RotationConfig,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    labels: Any = None,
    vae: str | os.PathLike[str] | None = None,
    source: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> RotationRun:
    """Train the system and write its run folder.

    Args:
        images: Upright images. (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], which is rounded to 1/255.
        config: The configuration; `latentcore.training.presets` has measured ones.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        labels: Their classes, which only `PairsConfig.upright_labels` needs. (N,).
        vae: The folder `vae` of another run of the same images and `vae_train`, which is taken over instead of trained.
        source: Where the images come from, as plain data; kept in `config.json`.
        held_out: What is kept back to judge by, as plain data; kept in `held_out.json`.

    Returns:
        The run, as `latentcore.load_run` opens it.

    Raises:
        FloatingPointError: The loss is not finite any more.
        TypeError: A dtype is unknown.
        ValueError: A shape or range does not fit, or the folder holds a run already.
    """
    data = _checked(images, labels, config)
    for phase in (config.train, config.vae_train):
        if phase is not None:
            check_early_stop(phase, False, "this system takes none")
    if vae is not None:
        _check_taken_over(Path(vae), config)
    folder = begin("rotation", config, fingerprint(*_tensors(data)), run_dir, source, held_out)
    if vae is not None:
        # whole or not at all: a part would stop every later attempt
        shutil.copytree(vae, folder / f".{_VAE}.part")
        (folder / f".{_VAE}.part").rename(folder / _VAE)
    return _train(folder, config, data)


@torch_as_usual()
def resume_rotation(folder: str | os.PathLike[str], images: Any, *, labels: Any = None) -> RotationRun:
    """Go on with a run that was interrupted, with the same images, to the result it would have had.

    Raises:
        OSError: A file of the run is missing.
        ValueError: The images are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "rotation", RotationConfig)
    data = _checked(images, labels, config)
    check_same_data(folder, "images", fingerprint(*_tensors(data)))
    return _train(folder, config, data)


def _train(folder: Path, config: RotationConfig, images: ImageSet) -> RotationRun:
    began = time.perf_counter() - seconds_trained(folder) - seconds_trained(folder / _VAE)
    data = config.pairs.images(images)
    with seeded(config.train.seed):
        model = _build(config)
    with resumable(folder):
        if config.vae_train is not None:
            _train_vae(folder / _VAE, model.vae, data.images, config.vae_train)
            model.freeze()
        history = minimise(model, config.loss, Pairs(data, config.pairs), config.train, folder, resume=True)
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": _count(model),
        "operator_parameters": _count(model.operator),
        "images_per_second": rate(history),
        **{term: history[-1][term] for term in config.loss.terms},
    }
    write_json(folder / "metrics.json", figures)
    return RotationRun.open(folder, read_config(folder))


def _train_vae(folder: Path, vae: VAE, images: Tensor, config: TrainConfig) -> None:
    """Train the VAE alone, in a run folder of its own."""
    if not (folder / "config.json").exists():
        create_run("vae", {"vae": _config.to_plain(vae.config), "train": config.to_dict()}, folder)
    fit(vae, images, config, folder, resume=True)


def _check_taken_over(vae: Path, config: RotationConfig) -> None:
    """The folder holds a VAE as this configuration would train it."""
    if config.vae_train is None:
        _errors.fail_value("vae", "none: this configuration trains its VAE together with the transformation", str(vae))
    found = read_config(vae)
    if (found.get("vae"), found.get("train")) != (_config.to_plain(config.vae), config.vae_train.to_dict()):
        _errors.fail_value("vae", "a VAE of this configuration", str(vae))


def _build(config: RotationConfig) -> TransformingVAE:
    return TransformingVAE(VAE(config.vae), build_operator(config.operator, config.vae.latent))


def _checked(images: Any, labels: Any, config: RotationConfig) -> ImageSet:
    # on a canvas the size of the images is free, as long as they fit
    pixels = as_bytes(images, None if config.pairs.canvas else config.vae.image_shape)
    channels, *sides = config.vae.image_shape
    if pixels.shape[1] != channels or max(pixels.shape[2:]) > max(sides):
        _errors.fail_value("images", f"{channels} channels and at most {max(sides)} pixels a side", tuple(pixels.shape))
    if config.pairs.upright_labels and labels is None:
        _errors.fail_value("labels", "a label for every image, for the sake of upright_labels", "none")
    return ImageSet(pixels, None if labels is None else as_labels(labels, len(pixels)))


def _tensors(data: ImageSet) -> tuple[Tensor, ...]:
    return (data.images,) if data.labels is None else (data.images, data.labels)


def _whole(steps: float | Tensor) -> bool:
    """Whether these are whole numbers, up to rounding."""
    numbers = torch.as_tensor(steps, dtype=torch.float64)
    return bool(((numbers - numbers.round()).abs() < 1e-6).all())


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
