"""Few-label classification: a VAE trained without labels, a mixture in its latent space, a few labels to read it."""

import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import inside, read_config, write_json
from latentcore.data.convert import as_images, as_labels
from latentcore.data.hashes import fingerprint
from latentcore.mixture import GaussianMixture
from latentcore.mixture.files import load_mixture, save_mixture
from latentcore.mixture.presets import class_mean_mixture, few_label_mixture
from latentcore.models import VAE, Autoencoder, VAEConfig
from latentcore.training.autoencoder import AutoencoderRun, load_autoencoder_checkpoint
from latentcore.training.checkpoint import seconds_trained
from latentcore.training.config import TrainConfig
from latentcore.training.loop import fit
from latentcore.training.systems import begin, check_early_stop, check_same_data, configured, resumable, seeded

# shapes: (N, C, H, W) images, (M, C, H, W) labelled images, (N, L) latents


@dataclass(frozen=True)
class MixtureConfig:
    """How the mixture is fitted to the latents and read with the labels.

    Attributes:
        start: "restarts": more components than classes, from the best of several starts; labels travel between
            overlapping components. "class-means": one component per class, started at the labelled images' means; the
            component of highest likelihood is the class.
        components: Number of components; "class-means" takes the number of classes.
        restarts: Number of starts, of which the likeliest is kept.
        subsample: Number of latents on which the starts are tried.
    """

    start: Literal["restarts", "class-means"] = "restarts"
    components: int = 15
    restarts: int = 10
    subsample: int = 4000

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("components", "restarts", "subsample"):
            _config.in_range(self, name, 1)


@dataclass(frozen=True)
class FewLabelConfig(_config.Configuration):
    """Configuration of the few-label system: its VAE, its training, its mixture."""

    vae: VAEConfig = field(default_factory=VAEConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)


class FewLabelRun(AutoencoderRun):
    """A trained few-label system.

    Attributes:
        mixture: The mixture in the latent space, which knows what its components stand for.
    """

    def __init__(
        self, folder: Path, config: dict[str, Any], model: VAE | Autoencoder, mixture: GaussianMixture
    ) -> None:
        super().__init__(folder, config, model)
        if mixture.n_features_in_ != model.config.latent:
            expected = f"a mixture in the {model.config.latent} latent axes of the model"
            _errors.fail_value(str(mixture_path(folder)), expected, f"{mixture.n_features_in_} axes")
        self.mixture = mixture

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        model = load_autoencoder_checkpoint(folder, config)
        path = mixture_path(folder)
        if not path.exists():
            raise FileNotFoundError(f"{path}: expected the mixture of a finished run, found none; resume the training")
        return cls(folder, config, model, load_mixture(inside(folder, path)))

    @torch_as_usual(gradients=False)
    def classify(self, images: Any) -> Tensor:
        """Labels (N,), int64, of images as `encode` takes them."""
        labels: Tensor = self.mixture.predict_label(self.encode(images))
        return labels

    @torch_as_usual(gradients=False)
    def predict_proba(self, images: Any) -> Tensor:
        """Class probabilities (N, C) of images, columns in the order of `mixture.classes_`."""
        probabilities: Tensor = self.mixture.predict_label_proba(self.encode(images))
        return probabilities


@torch_as_usual()
def train_few_label(
    train_images: Any,
    labelled_images: Any,
    labels: Any,
    config: FewLabelConfig,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> FewLabelRun:
    """Train the system and write its run folder.

    Args:
        train_images: Images without labels. (N, H, W) or (N, C, H, W), uint8 or float in [0, 1].
        labelled_images: Images whose labels are known. (M, ...), likewise.
        labels: Their labels, whole numbers >= 0. (M,).
        config: The configuration; `latentcore.training.presets` has measured ones.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        source: Where the images come from, as plain data; kept in `config.json`.
        held_out: What is kept back to judge by, as plain data; kept in `held_out.json`.

    Returns:
        The run, as `latentcore.load_run` opens it.

    Raises:
        FloatingPointError: The loss is not finite any more.
        TypeError: A dtype is unknown.
        ValueError: A shape or range does not fit, or the folder holds a run already.
    """
    data = _checked(train_images, labelled_images, labels, config)
    check_early_stop(config.train, False, "this system takes none")
    folder = begin("few-label", config, fingerprint(*data), run_dir, source, held_out)
    return _train(folder, config, *data)


@torch_as_usual()
def resume_few_label(
    folder: str | os.PathLike[str], train_images: Any, labelled_images: Any, labels: Any
) -> FewLabelRun:
    """Go on with a run that was interrupted, with the same images, to the result it would have had.

    Raises:
        OSError: A file of the run is missing.
        ValueError: The images or labels are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "few-label", FewLabelConfig)
    data = _checked(train_images, labelled_images, labels, config)
    check_same_data(folder, "train_images", fingerprint(*data))
    return _train(folder, config, *data)


def plain_mixture(run: AutoencoderRun, train_images: Any, labelled_images: Any, labels: Any) -> GaussianMixture:
    """The plain recipe in the latents of `run`: a component per class, started at the labelled images' means.

    `predict_label` of the result takes latents, as `run.encode` gives them.
    """
    known = as_labels(labels, len(labelled_images))
    return _fit_mixture(run, train_images, labelled_images, known, MixtureConfig(start="class-means"), seed=0)


def mixture_path(folder: Path) -> Path:
    """Where a run folder keeps its mixture."""
    return folder / "checkpoints" / "mixture.pth"


def _train(folder: Path, config: FewLabelConfig, images: Tensor, labelled: Tensor, labels: Tensor) -> FewLabelRun:
    began = time.perf_counter() - seconds_trained(folder)
    with seeded(config.train.seed):
        model = VAE(config.vae)
    with resumable(folder):
        history = fit(model, images, config.train, folder, resume=True)
    run = AutoencoderRun(folder, read_config(folder), model.cpu())
    mixture = _fit_mixture(run, images, labelled, labels, config.mixture, config.train.seed)
    save_mixture(mixture_path(folder), mixture)
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **{term: history[-1][term] for term in ("loss", "reconstruction", "kl")},
    }
    write_json(folder / "metrics.json", figures)
    return FewLabelRun(folder, run.config, model, mixture)


def _fit_mixture(
    run: AutoencoderRun, images: Any, labelled: Any, labels: Tensor, config: MixtureConfig, seed: int
) -> GaussianMixture:
    latents = torch.cat([run.encode(images), run.encode(labelled)])
    known = torch.full((len(latents),), -1)
    known[-len(labels) :] = labels
    with warnings.catch_warnings():
        # the last digits of the likelihood do not move the classes; the limit of iterations is part of the recipe
        warnings.simplefilter("ignore", ConvergenceWarning)
        if config.start == "class-means":
            return class_mean_mixture(latents, known)
        return few_label_mixture(
            latents,
            known,
            n_components=config.components,
            n_init=config.restarts,
            init_size=config.subsample,
            random_state=seed,
        )


def _checked(
    train_images: Any, labelled_images: Any, labels: Any, config: FewLabelConfig
) -> tuple[Tensor, Tensor, Tensor]:
    shape = config.vae.image_shape
    images = as_images(train_images, shape, "train_images")
    labelled = as_images(labelled_images, shape, "labelled_images")
    known = as_labels(labels, len(labelled))
    if bool((known < 0).any()):
        _errors.fail_value("labels", "whole numbers >= 0", int(known.min()))
    if config.mixture.start == "restarts" and len(images) < config.mixture.components:
        _errors.fail_value("train_images", f"at least {config.mixture.components}, one per component", len(images))
    return images, labelled, known
