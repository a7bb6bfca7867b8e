"""Autoencoders and VAEs: their training, and their runs, ready for use."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import read_config, write_json
from latentcore._memory import bounded
from latentcore.data.convert import as_classes, as_images, as_latents, to_unit
from latentcore.data.hashes import fingerprint
from latentcore.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig
from latentcore.models.objectives import objective_of
from latentcore.training.checkpoint import load_checkpoint, seconds_trained
from latentcore.training.config import TrainConfig
from latentcore.training.loop import minimise
from latentcore.training.runs import Run
from latentcore.training.sources import Images
from latentcore.training.systems import begin, check_early_stop, check_same_data, configured, rate, resumable, seeded

# shapes: (N, C, H, W) images, (N, L) latents, (N,) labels

_KINDS: dict[str, tuple[type[VAE] | type[Autoencoder], type[VAEConfig] | type[AutoencoderConfig]]] = {
    "vae": (VAE, VAEConfig),
    "autoencoder": (Autoencoder, AutoencoderConfig),
}
_BATCH = 4096  # images at a time, so that memory does not grow with N


@dataclass(frozen=True)
class AutoencodingConfig(_config.Configuration):
    """Configuration of an autoencoder or a VAE, of which one is given, and of its training."""

    vae: VAEConfig | None = None
    autoencoder: AutoencoderConfig | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        if (self.vae is None) == (self.autoencoder is None):
            got = "none" if self.vae is None else "both"
            _errors.fail_value("AutoencodingConfig", "a vae or an autoencoder", got)

    @property
    def network(self) -> VAEConfig | AutoencoderConfig:
        """The one that is given."""
        found = self.vae or self.autoencoder
        assert found is not None
        return found

    def for_images(self, shape: Sequence[int]) -> Self:
        """The same for images of another size, (C, H, W)."""
        channels, height, width = shape
        size = (channels, height, width)
        if self.vae is not None:
            return replace(self, vae=replace(self.vae, image_shape=size))
        return replace(self, autoencoder=replace(_given(self.autoencoder), image_shape=size))

    def build(self) -> VAE | Autoencoder:
        """A new model, its weights drawn from the seed of the training."""
        with seeded(self.train.seed):
            return VAE(self.vae) if self.vae is not None else Autoencoder(_given(self.autoencoder))


class AutoencoderRun(Run):
    """A trained VAE or autoencoder; the base of the systems that have one.

    A model of classes wants labels (N,) beside images and latents; the others want none.

    Attributes:
        model: The trained model, in evaluation mode.
    """

    def __init__(self, folder: Path, config: dict[str, Any], model: VAE | Autoencoder) -> None:
        super().__init__(folder, config)
        self.model = model.eval().float()  # also where it was trained in float64

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        return cls(folder, config, load_autoencoder_checkpoint(folder, config))

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def encode(self, images: Any, labels: Any = None) -> Tensor:
        """Latent means (N, L) of images (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], NumPy or torch."""
        batches = as_images(images, self.model.config.image_shape).split(_BATCH)
        known = self._split_labels(labels, sum(map(len, batches)))
        means = [self._means(to_unit(batch.cpu()), part) for batch, part in bounded(zip(batches, known, strict=True))]
        return torch.cat(means)

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def decode(self, z: Any, labels: Any = None) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        batches = as_latents(z, self.model.config.latent).split(_BATCH)
        known = self._split_labels(labels, sum(map(len, batches)))
        parts = bounded(zip(batches, known, strict=True))
        return torch.cat([self.model.decode(batch.cpu(), part) for batch, part in parts])

    @torch_as_usual(gradients=False)
    def reconstruct(self, images: Any, labels: Any = None) -> Tensor:
        """decode(encode(images)): images (N, C, H, W) in [0, 1]."""
        return self.decode(self.encode(images, labels), labels)

    @torch_as_usual(gradients=False)
    def sample(self, n: int, labels: Any = None, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W), decoded from the standard normal prior."""
        _errors.integer("n", n, 1, 2**31)
        generator = torch.Generator().manual_seed(seed)
        return self.decode(torch.randn(n, self.model.config.latent, generator=generator), labels)

    def _means(self, images: Tensor, labels: Tensor | None) -> Tensor:
        encoded = self.model.encode(images, labels)
        return encoded[0] if isinstance(encoded, tuple) else encoded

    def _split_labels(self, labels: Any, count: int) -> list[Tensor | None]:
        known = as_classes(labels, count, self.model.config.classes)
        return [None] * max(1, -(-count // _BATCH)) if known is None else list(known.split(_BATCH))


@torch_as_usual()
def train_autoencoder(
    images: Any,
    config: AutoencodingConfig,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    labels: Any = None,
    validation: Any = None,
    validation_labels: Any = None,
    source: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> AutoencoderRun:
    """Train an autoencoder or a VAE and write its run folder.

    Args:
        images: (N, H, W) or (N, C, H, W), uint8 or float in [0, 1].
        config: The configuration; `latentcore.training.presets` has measured ones.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        labels: Of a model of classes: whole numbers in [0, classes). (N,).
        validation: Images by which the best weights are chosen, as they are; ``None`` keeps the last ones.
        validation_labels: Of those, as `labels`.
        source: Where the images come from, as plain data; kept in `config.json`.
        held_out: What is kept back to judge by, as plain data; kept in `held_out.json`.

    Returns:
        The run, as `latentcore.load_run` opens it.

    Raises:
        FloatingPointError: The loss is not finite any more.
        TypeError: A dtype is unknown.
        ValueError: A shape or range does not fit, labels are missing or not wanted, or the folder holds a run already.

    Example:
        >>> import torch
        >>> from latentcore.models import VAEConfig
        >>> from latentcore.training import TrainConfig
        >>> from latentcore.training.autoencoder import AutoencodingConfig, train_autoencoder
        >>> config = AutoencodingConfig(vae=VAEConfig(hidden=(64,), decoder_hidden=(64,)), train=TrainConfig(epochs=1))
        >>> run = train_autoencoder(torch.rand(256, 28, 28), config)
        >>> run.sample(3).shape
        torch.Size([3, 1, 28, 28])
    """
    data = _source(config, images, labels)
    check_early_stop(config.train, validation is not None, "the argument `validation`; commands have no option for it")
    kept_back = _held_out(config, validation, validation_labels)
    folder = begin("autoencoder", config, _word(data), run_dir, source, held_out)
    return _train(folder, config, data, kept_back)


@torch_as_usual()
def resume_autoencoder(
    folder: str | os.PathLike[str],
    images: Any,
    *,
    labels: Any = None,
    validation: Any = None,
    validation_labels: Any = None,
) -> AutoencoderRun:
    """Go on with a run that was interrupted, with the same images, to the result it would have had.

    Raises:
        OSError: A file of the run is missing.
        ValueError: The images or labels are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "autoencoder", AutoencodingConfig)
    data = _source(config, images, labels)
    check_same_data(folder, "images", _word(data))
    held_out = _held_out(config, validation, validation_labels)
    return _train(folder, config, data, held_out)


def load_autoencoder_checkpoint(folder: Path, config: dict[str, Any]) -> VAE | Autoencoder:
    """The model that `config` describes, with the weights of the folder's `checkpoints/model.pth`."""
    kind = next((kind for kind in _KINDS if config.get(kind) is not None), None)
    if kind is None:
        _errors.fail_value(str(folder / "config.json"), " or ".join(map(repr, _KINDS)), f"the fields {list(config)}")
    model_kind, config_kind = _KINDS[kind]
    plan = _config.from_plain(config_kind, config[kind], kind)
    return load_checkpoint(folder, lambda: model_kind(plan))


def _train(folder: Path, config: AutoencodingConfig, data: Images, validation: Images | None) -> AutoencoderRun:
    began = time.perf_counter() - seconds_trained(folder)
    model = config.build()
    objective = objective_of(model)
    with resumable(folder):
        history = minimise(model, objective, data, config.train, folder, validation=validation, resume=True)
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "images_per_second": rate(history),
        "loss": history[-1]["loss"],  # its terms have the names of what evaluation finds on test images
    }
    write_json(folder / "metrics.json", figures)
    return AutoencoderRun.open(folder, read_config(folder))


def _source(config: AutoencodingConfig, images: Any, labels: Any) -> Images:
    pictures = as_images(images, config.network.image_shape)
    known = as_classes(labels, len(pictures), config.network.classes)
    return Images(pictures, config.train.augmentation, config.train.reconstruct, known, config.train.binarise)


def _held_out(config: AutoencodingConfig, images: Any, labels: Any) -> Images | None:
    """Images as they are, so that the losses of all epochs compare."""
    if images is None:
        if labels is not None:
            _errors.fail_value("validation_labels", "none: there is no validation", type(labels).__name__)
        return None
    pictures = as_images(images, config.network.image_shape, "validation")
    known = as_classes(labels, len(pictures), config.network.classes, "validation_labels")
    return Images(pictures, labels=known)


def _word(data: Images) -> str:
    return fingerprint(data.images) if data.labels is None else fingerprint(data.images, data.labels)


def _given(config: AutoencoderConfig | None) -> AutoencoderConfig:
    assert config is not None
    return config
