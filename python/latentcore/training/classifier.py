"""Classification of images by a ResNet-15; also the judge of pictures that other systems draw."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import read_config, write_json
from latentcore._memory import bounded
from latentcore.data.convert import as_images, as_labels, to_unit
from latentcore.data.hashes import fingerprint
from latentcore.models import ResNet15, ResNetConfig
from latentcore.models.objectives import CrossEntropy
from latentcore.training.checkpoint import load_checkpoint, seconds_trained
from latentcore.training.config import TrainConfig
from latentcore.training.loop import minimise
from latentcore.training.runs import Run
from latentcore.training.sources import LabelledImages
from latentcore.training.systems import begin, check_early_stop, check_same_data, configured, rate, resumable, seeded

# shapes: (N, C, H, W) images, K classes, F features

_BATCH = 2048  # images at a time, so that memory does not grow with N


@dataclass(frozen=True)
class ClassifierConfig(_config.Configuration):
    """Configuration of a classifier: its network and its training."""

    resnet: ResNetConfig = field(default_factory=ResNetConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)


class ClassifierRun(Run):
    """A trained classifier.

    Attributes:
        model: The network, in evaluation mode.
    """

    def __init__(self, folder: Path, config: dict[str, Any], model: ResNet15) -> None:
        super().__init__(folder, config)
        self.model = model.eval()

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        resnet = _config.from_plain(ResNetConfig, config.get("resnet"), f"{folder / 'config.json'}: resnet")
        return cls(folder, config, load_checkpoint(folder, lambda: ResNet15(resnet)))

    @torch_as_usual(gradients=False)
    def classify(self, images: Any) -> Tensor:
        """Labels (N,), int64, of images (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], NumPy or torch."""
        return self._logits(images).argmax(1)

    @torch_as_usual(gradients=False)
    def predict_proba(self, images: Any) -> Tensor:
        """Class probabilities (N, K) of images as `classify` takes them."""
        return self._logits(images).softmax(1)

    @torch_as_usual(gradients=False)
    def features(self, images: Any) -> Tensor:
        """What the network's last layer reads, (N, F), of images as `classify` takes them."""
        return self._in_batches(self.model.features, images)

    def _logits(self, images: Any) -> Tensor:
        return self._in_batches(self.model, images)

    @torch.no_grad()
    def _in_batches(self, ask: Callable[[Tensor], Tensor], images: Any) -> Tensor:
        batches = as_images(images, self.model.config.image_shape).split(_BATCH)
        return torch.cat([ask(to_unit(batch.cpu())) for batch in bounded(batches)])


@torch_as_usual()
def train_classifier(
    images: Any,
    labels: Any,
    config: ClassifierConfig,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> ClassifierRun:
    """Train a classifier and write its run folder.

    Args:
        images: (N, H, W) or (N, C, H, W), uint8 or float in [0, 1].
        labels: Whole numbers in [0, classes). (N,).
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
    data = _checked(images, labels, config)
    check_early_stop(config.train, False, "this system takes none")
    folder = begin("classifier", config, fingerprint(*data), run_dir, source, held_out)
    return _train(folder, config, *data)


@torch_as_usual()
def resume_classifier(folder: str | os.PathLike[str], images: Any, labels: Any) -> ClassifierRun:
    """Go on with a run that was interrupted, with the same images, to the result it would have had.

    Raises:
        OSError: A file of the run is missing.
        ValueError: The images or labels are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "classifier", ClassifierConfig)
    data = _checked(images, labels, config)
    check_same_data(folder, "images", fingerprint(*data))
    return _train(folder, config, *data)


def _train(folder: Path, config: ClassifierConfig, images: Tensor, labels: Tensor) -> ClassifierRun:
    began = time.perf_counter() - seconds_trained(folder)
    with seeded(config.train.seed):
        model = ResNet15(config.resnet)
    source = LabelledImages(images, labels, config.train.augmentation)
    with resumable(folder):
        history = minimise(model, CrossEntropy(), source, config.train, folder, resume=True)
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "images_per_second": rate(history),
        **{term: history[-1][term] for term in CrossEntropy.terms},
    }
    write_json(folder / "metrics.json", figures)
    return ClassifierRun.open(folder, read_config(folder))


def _checked(images: Any, labels: Any, config: ClassifierConfig) -> tuple[Tensor, Tensor]:
    pictures = as_images(images, config.resnet.image_shape)
    known = as_labels(labels, len(pictures))
    if not (int(known.min()) >= 0 and int(known.max()) < config.resnet.classes):
        got = f"{int(known.min())} to {int(known.max())}"
        _errors.fail_value("labels", f"whole numbers in [0, {config.resnet.classes})", got)
    return pictures, known
