"""Electrons or photons: a ResNet-15 for calorimeter events in HDF5 files."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import read_config, write_json
from latentcore._memory import bounded
from latentcore.data.convert import as_events
from latentcore.data.egamma import EgammaFiles, Events
from latentcore.models import EventClassifier, ResNetConfig
from latentcore.models.objectives import Discrimination
from latentcore.training.checkpoint import last_path, load_checkpoint, seconds_trained
from latentcore.training.config import Augmentation, TrainConfig
from latentcore.training.events import StoredEvents, StreamedEvents
from latentcore.training.loop import minimise
from latentcore.training.parts import EventsConfig, Parts, Paths, divided, storage_of
from latentcore.training.plan import Plan
from latentcore.training.processes import alone, from_first, synchronised, together
from latentcore.training.runs import Run
from latentcore.training.systems import (
    begin,
    check_early_stop,
    check_same_data,
    configured,
    rate,
    resumable,
    seeded,
)

# shapes: (N, C, H, W) events

_BATCH = 128  # events at a time: what they are on their way through the network stays small

Scaling = tuple[list[float], list[float]]


@dataclass(frozen=True)
class EgammaConfig(_config.Configuration):
    """Configuration of a classifier of electrons and photons: its network, its training, and the events.

    The network's `image_shape` must be that of the files.
    """

    resnet: ResNetConfig = field(default_factory=lambda: ResNetConfig(image_shape=(2, 32, 32), classes=2))
    train: TrainConfig = field(default_factory=TrainConfig)
    events: EventsConfig = field(default_factory=EventsConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        if self.resnet.classes != 2:
            _errors.fail_value("ResNetConfig.classes", "2, photon and electron", self.resnet.classes)
        center, (_, height, width) = self.train.augmentation.center, self.resnet.image_shape
        if center is not None and not (0 <= center[0] < width and 0 <= center[1] < height):
            _errors.fail_value("Augmentation.center", f"a point inside of {width} x {height} cells", center)

    def for_events(self, shape: tuple[int, int, int]) -> Self:
        """The same for events of another size, (C, H, W); the centre of a smaller or larger crop is its own."""
        train = self.train
        if shape[1:] != self.resnet.image_shape[1:]:
            train = replace(train, augmentation=replace(train.augmentation, center=None))
        return replace(self, resnet=replace(self.resnet, image_shape=shape), train=train)


class EgammaRun(Run):
    """A trained classifier of electrons and photons, on the device of its training where there is one here.

    Attributes:
        model: The network, in evaluation mode.
        settings: The configuration of its training.
    """

    def __init__(self, folder: Path, config: dict[str, Any], settings: EgammaConfig, model: EventClassifier) -> None:
        super().__init__(folder, config)
        memory_format = torch.channels_last if settings.train.channels_last else torch.contiguous_format
        self._device = alone(settings.train).device
        model.float().to(self._device).to(memory_format=memory_format)  # type: ignore[call-overload]  # no such stub
        self.settings, self.model = settings, model.eval()

    @classmethod
    @torch_as_usual(gradients=False)
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        settings = configured(folder, "egamma", EgammaConfig)
        return cls(folder, config, settings, load_checkpoint(folder, lambda: EventClassifier(settings.resnet)))

    @torch_as_usual(gradients=False)
    def parts(self, paths: Paths | None = None, test: Paths | None = None) -> Parts:
        """The events of the training, validation and test, from where they were or from where they lie now.

        Raises:
            OSError: A file is missing.
            ValueError: The events are not those of this run, or a file is damaged.
        """
        return _parts_of(self.folder, self.settings, paths, test)

    @torch_as_usual(gradients=False)
    def classify(self, images: Any) -> Tensor:
        """Labels (N,), int64, 0 photon and 1 electron, of events as `scores` takes them."""
        return (self.scores(images) > 0).long()

    @torch_as_usual(gradients=False)
    def predict_proba(self, images: Any) -> Tensor:
        """Probabilities (N, 2) of photon and electron, float64, of events as `scores` takes them."""
        scores = self.scores(images)
        return torch.stack([torch.sigmoid(-scores), torch.sigmoid(scores)], 1)

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def scores(self, images: Any) -> Tensor:
        """Log p(electron) - log p(photon), (N,), float64.

        Args:
            images: (N, C, H, W), or (N, H, W, C) as in the files, in the files' units; NumPy or torch, real numbers.

        Raises:
            TypeError: They are no array of real numbers.
            ValueError: The shape is another one, or a number is not finite.
        """
        found = []
        for batch in bounded(as_events(images, self.model.config.image_shape).split(_BATCH)):
            logits = self.model(batch.float().to(self._device)).double()
            found.append((logits[:, 1] - logits[:, 0]).cpu())
        return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)

    def stream_scores(self, files: EgammaFiles, rows: np.ndarray | None = None) -> Iterator[tuple[Events, Tensor]]:
        """Batches of events in the order of the files, and their `scores`; memory does not grow with the files."""
        if files.shape != self.model.config.image_shape:
            _errors.fail_value("files", f"events of shape {self.model.config.image_shape}", files.shape)
        for events in files.stream(rows, batch_size=_BATCH, shuffle=False).epoch(0):
            yield events, self.scores(events.images)


@torch_as_usual()
def train_egamma(
    paths: Paths,
    config: EgammaConfig | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    test: Paths | None = None,
) -> EgammaRun:
    """Train a classifier of electrons and photons, and write its run folder.

    In processes that torchrun has started, the batches are shared, and batch normalisation looks at all of them, so
    that the result is that of one process, up to rounding and dropout.

    Args:
        paths: HDF5 files of events, as `latentcore.data.egamma.EgammaFiles` takes them.
        config: The configuration; `latentcore.training.presets` has measured ones.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        test: Files of other events to judge by; those of `paths` are then for training and validation alone.

    Returns:
        The run, as `latentcore.load_run` opens it; in every process.

    Raises:
        FloatingPointError: The loss is not finite any more.
        OSError: A file cannot be read.
        ValueError: A file is damaged or does not fit the configuration, or the folder holds a run already.

    Example:
        >>> from latentcore.data.egamma.simulator import write
        >>> from latentcore.models import ResNetConfig
        >>> from latentcore.training import TrainConfig
        >>> from latentcore.training.egamma import EgammaConfig, train_egamma
        >>> write("events.h5", 300)
        >>> network = ResNetConfig(image_shape=(2, 32, 32), classes=2, width=0.125)
        >>> run = train_egamma("events.h5", EgammaConfig(network, TrainConfig(epochs=1, batch_size=40)))
        >>> parts = run.parts()
        >>> run.predict_proba(parts.test_files.load(parts.test).images).shape
        torch.Size([30, 2])
    """
    wanted = config or EgammaConfig()
    fabric, parts = together(wanted.train), divided(paths, test, wanted.events)
    shape = parts.files.shape
    if shape != wanted.resnet.image_shape:
        _errors.fail_value("ResNetConfig.image_shape", f"{shape}, as in the files", wanted.resnet.image_shape)
    remedy = "a share for EventsConfig.validation, of the command for --validation"
    check_early_stop(wanted.train, parts.validation is not None, remedy)
    _check_batch(wanted, parts, fabric)
    storage = from_first(fabric, lambda: storage_of(wanted.events, parts, fabric))
    config = replace(wanted, events=replace(wanted.events, storage=storage))
    scaling = from_first(fabric, lambda: _scaling(config, parts))
    source = {"files": _names(parts.files), "test": None if test is None else _names(parts.test_files)}
    word = _fingerprint(parts)
    folder = from_first(fabric, lambda: begin("egamma", config, word, run_dir, source, parts.describe()))
    return _train(folder, config, parts, fabric, scaling)


@torch_as_usual()
def resume_egamma(
    folder: str | os.PathLike[str], paths: Paths | None = None, *, test: Paths | None = None
) -> EgammaRun:
    """Go on with a run that was interrupted, with the same events, to the result it would have had.

    Args:
        folder: The run's folder.
        paths: Where the files lie now; ``None``: where they were.
        test: Where those of the test lie now.

    Raises:
        OSError: A file is missing.
        ValueError: The events are not those that the run began with, or a file of the run is damaged.
    """
    folder = Path(folder)
    config = configured(folder, "egamma", EgammaConfig)
    fabric, parts = together(config.train), _parts_of(folder, config, paths, test)
    _check_batch(config, parts, fabric)
    # a checkpoint has the scaling
    scaling = None if last_path(folder).exists() else from_first(fabric, lambda: _scaling(config, parts))
    return _train(folder, config, parts, fabric, scaling)


def _train(folder: Path, config: EgammaConfig, parts: Parts, fabric: Fabric, scaling: Scaling | None) -> EgammaRun:
    began = time.perf_counter() - seconds_trained(folder)
    with seeded(config.train.seed):
        model = EventClassifier(config.resnet)
    if scaling is not None:
        model.scale_by(*scaling)
    place = fabric.device
    source = _source(config, parts, parts.train, config.train.augmentation, place)
    held_out = None if parts.validation is None else _source(config, parts, parts.validation, Augmentation(), place)
    model = synchronised(fabric, model)
    with resumable(folder):
        history = minimise(
            model, Discrimination(), source, config.train, folder, validation=held_out, resume=True, fabric=fabric
        )
    figures = {
        "seconds": time.perf_counter() - began,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "events_per_second": rate(history, "events"),
        **{name: history[-1][name] for name in Discrimination.terms},
    }
    from_first(fabric, lambda: write_json(folder / "metrics.json", figures))
    return EgammaRun.open(folder, read_config(folder))


def _source(
    config: EgammaConfig, parts: Parts, rows: np.ndarray, augmentation: Augmentation, device: torch.device
) -> StoredEvents | StreamedEvents:
    if config.events.storage == "resident":
        found = parts.files.load(rows, device=device)
        return StoredEvents(found.images, found.labels, augmentation)
    events, seed = config.events, config.train.seed
    return StreamedEvents(parts.files, rows, augmentation, seed=seed, window=events.window, memory_mb=events.memory_mb)


def _scaling(config: EgammaConfig, parts: Parts) -> Scaling:
    """Offset and factor of each channel."""
    return parts.files.normalisation(parts.train).scaling(config.events.scaling)


def _check_batch(config: EgammaConfig, parts: Parts, fabric: Fabric) -> None:
    """Every process has events enough for batch normalisation in each part of a batch."""
    plan = Plan(config.train, StreamedEvents(parts.files, parts.train), processes=fabric.world_size)
    part = plan.batch_size // (fabric.world_size * config.train.accumulate)
    if part < 2:
        _errors.fail_value("TrainConfig.batch_size", "at least 2 events in each part and process", part)


def _fingerprint(parts: Parts) -> str:
    """A word for all events."""
    own = parts.files.fingerprint
    return own if parts.test_files is parts.files else f"{own} {parts.test_files.fingerprint}"


def _parts_of(folder: Path, config: EgammaConfig, paths: Paths | None, test: Paths | None) -> Parts:
    source = read_config(folder).get("source")
    if not isinstance(source, dict) or not isinstance(source.get("files"), list):
        _errors.fail_value(str(folder / "config.json"), "the names of files under 'source'", source)
    if test and not source.get("test"):
        _errors.fail_value("test", f"none: {folder} is judged by events of its own files", test)
    parts = divided(paths or source["files"], test or source.get("test"), config.events)
    check_same_data(folder, "paths or test", _fingerprint(parts))
    parts.check_same(folder)
    return parts


def _names(files: EgammaFiles) -> list[str]:
    return [str(file.path.resolve()) for file in files.files]
