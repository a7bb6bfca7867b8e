"""Electrons or photons: a ResNet-15 for calorimeter events in HDF5 files."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from latentcore import _checks, _config
from latentcore.data.egamma import EgammaFiles, Events
from latentcore.models import EventClassifier, ResNetConfig
from latentcore.train.checkpoint import last_path, seconds_trained
from latentcore.train.config import Augmentation, TrainConfig
from latentcore.train.events import StoredEvents, StreamedEvents
from latentcore.train.loop import minimise
from latentcore.train.objectives import Discrimination
from latentcore.train.parts import EventsConfig, Parts, Paths, divided
from latentcore.train.processes import from_first, synchronised, together
from latentcore.train.runs import Run, load_checkpoint, read_json, write_json
from latentcore.train.systems import begin, check_same_data, configured, rate, resumable, seeded

# shapes: (N, C, H, W) events

_BATCH = 1024  # events at a time, so that memory does not grow with N
_SHARE = 0.25  # of the free memory that resident events may fill


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
            _checks.fail_value("ResNetConfig.classes", "2, photon and electron", self.resnet.classes)
        if self.train.early_stop and not self.events.validation:
            _checks.fail_value("TrainConfig.early_stop", "0 where EventsConfig.validation is 0", self.train.early_stop)


class EgammaRun(Run):
    """A trained classifier of electrons and photons.

    Attributes:
        model: The network, in evaluation mode.
        settings: The configuration of its training.
    """

    def __init__(self, folder: Path, config: dict[str, Any], settings: EgammaConfig, model: EventClassifier) -> None:
        super().__init__(folder, config)
        self.settings, self.model = settings, model.float().eval()

    @classmethod
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""
        settings = configured(folder, "egamma", EgammaConfig)
        return cls(folder, config, settings, load_checkpoint(folder, lambda: EventClassifier(settings.resnet)))

    def parts(self, paths: Paths | None = None, test: Paths | None = None) -> Parts:
        """The events of the training, validation and test, from where they were or from where they lie now.

        Raises:
            OSError: A file is missing.
            ValueError: The events are not those of this run, or a file is damaged.
        """
        return _parts_of(self.folder, self.settings, paths, test)

    def classify(self, images: Any) -> Tensor:
        """Labels (N,), int64, 0 photon and 1 electron, of events as `scores` takes them."""
        return (self.scores(images) > 0).long()

    def predict_proba(self, images: Any) -> Tensor:
        """Probabilities (N, 2) of photon and electron, float64, of events as `scores` takes them."""
        scores = self.scores(images)
        return torch.stack([torch.sigmoid(-scores), torch.sigmoid(scores)], 1)

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
        for batch in _channels_first(images, self.model.config.image_shape).split(_BATCH):
            logits = self.model(batch.float()).double()
            found.append(logits[:, 1] - logits[:, 0])
        return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)

    def stream_scores(self, files: EgammaFiles, rows: np.ndarray | None = None) -> Iterator[tuple[Events, Tensor]]:
        """Batches of events in the order of the files, and their `scores`; memory does not grow with the files."""
        if files.shape != self.model.config.image_shape:
            _checks.fail_value("files", f"events of shape {self.model.config.image_shape}", files.shape)
        for events in files.stream(rows, batch_size=_BATCH, shuffle=False).epoch(0):
            yield events, self.scores(events.images)


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
        config: The configuration; `latentcore.train.presets` has measured ones.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        test: Files of other events to judge by; those of `paths` are then for training and validation alone.

    Returns:
        The run, as `latentcore.load_run` opens it; in every process.

    Raises:
        FloatingPointError: The loss is not finite any more.
        OSError: A file cannot be read.
        ValueError: A file is damaged or does not fit the configuration, or the folder holds a run already.

    Example:
        >>> from latentcore.data.egamma_simulator import write
        >>> from latentcore.models import ResNetConfig
        >>> from latentcore.train import TrainConfig
        >>> from latentcore.train.egamma import EgammaConfig, train_egamma
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
        _checks.fail_value("ResNetConfig.image_shape", f"{shape}, as in the files", wanted.resnet.image_shape)
    storage = from_first(fabric, lambda: _storage(wanted, parts, fabric))
    config = replace(wanted, events=replace(wanted.events, storage=storage))
    source = {"files": _names(parts.files), "test": None if test is None else _names(parts.test_files)}
    folder = from_first(fabric, lambda: begin("egamma", config, parts.files.fingerprint, run_dir, source))
    return _train(folder, config, parts, fabric)


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
    return _train(folder, config, _parts_of(folder, config, paths, test), together(config.train))


def _train(folder: Path, config: EgammaConfig, parts: Parts, fabric: Fabric) -> EgammaRun:
    began = time.perf_counter() - seconds_trained(folder)
    with seeded(config.train.seed):
        model = EventClassifier(config.resnet)
    if not last_path(folder).exists():  # a checkpoint has the scaling
        scaling = lambda: parts.files.normalisation(parts.train).scaling(config.events.scaling)  # noqa: E731
        model.scale_by(*from_first(fabric, scaling))
    source = _source(config, parts, parts.train, config.train.augmentation)
    held_out = None if parts.validation is None else _source(config, parts, parts.validation, Augmentation())
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
    return EgammaRun.open(folder, read_json(folder / "config.json"))


def _source(
    config: EgammaConfig, parts: Parts, rows: np.ndarray, augmentation: Augmentation
) -> StoredEvents | StreamedEvents:
    if config.events.storage == "resident":
        found = parts.files.load(rows)
        return StoredEvents(found.images, found.labels, augmentation)
    events, seed = config.events, config.train.seed
    return StreamedEvents(parts.files, rows, augmentation, seed=seed, window=events.window, memory_mb=events.memory_mb)


def _storage(config: EgammaConfig, parts: Parts, fabric: Fabric) -> Literal["resident", "streamed"]:
    """Where the events shall be, decided once for all processes and for the whole training."""
    if config.events.storage != "auto":
        return config.events.storage
    held = len(parts.train) + (0 if parts.validation is None else len(parts.validation))
    size = held * 4 * int(np.prod(parts.files.shape)) * fabric.world_size
    return "resident" if size < _SHARE * _free_memory(fabric.device) else "streamed"


def _free_memory(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _parts_of(folder: Path, config: EgammaConfig, paths: Paths | None, test: Paths | None) -> Parts:
    source = read_json(folder / "config.json").get("source")
    if not isinstance(source, dict) or not isinstance(source.get("files"), list):
        _checks.fail_value(str(folder / "config.json"), "the names of files under 'source'", source)
    parts = divided(paths or source["files"], test or source.get("test"), config.events)
    check_same_data(folder, "paths", parts.files.fingerprint)
    return parts


def _names(files: EgammaFiles) -> list[str]:
    return [str(file.path.resolve()) for file in files.files]


def _channels_first(images: Any, shape: tuple[int, int, int]) -> Tensor:
    """Events (N, C, H, W), finite."""
    if not isinstance(images, Tensor | np.ndarray):
        _checks.fail_type("images", "a NumPy array or a torch.Tensor", type(images).__name__)
    batch = torch.as_tensor(images).detach().cpu()
    if batch.is_complex() or batch.dtype == torch.bool:
        _checks.fail_type("images", "real numbers", str(batch.dtype))
    channels, height, width = shape
    if tuple(batch.shape[1:]) == (height, width, channels) and shape != (height, width, channels):
        batch = batch.permute(0, 3, 1, 2)
    _checks.shape("images", batch, ("N", *shape))
    if not bool(torch.isfinite(batch).all()):
        _checks.fail_value("images", "finite numbers", "NaN or infinity")
    return batch
