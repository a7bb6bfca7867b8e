"""The training of a classifier of electrons and photons."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from latentcore import _errors
from latentcore._memory import available
from latentcore.data.examples import Examples
from latentcore.models import EventClassifier
from latentcore.systems.egamma.config import EgammaConfig
from latentcore.systems.egamma.parts import Parts
from latentcore.systems.egamma.sources import StoredEvents, StreamedEvents
from latentcore.training import driver
from latentcore.training.config import Augmentation
from latentcore.training.plan import Plan
from latentcore.training.processes import from_first

# shapes: (n,) rows of events

_RESIDENT = 0.25  # of the free memory that resident events may fill


class Training(driver.Training[EgammaConfig]):
    """A network and the events of files of its size.

    In processes that torchrun has started, the batches are shared, and batch normalisation looks at all of them, so
    that the result is that of one process, up to rounding and dropout.
    """

    needs = ("scale_by", "config.image_shape")

    def __init__(self, config: EgammaConfig, data: Examples, fabric: Fabric) -> None:
        super().__init__(config, data, fabric)
        self.parts: Parts = data.train
        if (shape := self.parts.files.shape) != config.resnet.image_shape:
            _errors.fail_value("ResNetConfig.image_shape", f"{shape}, as in the files", config.resnet.image_shape)
        self.validated = self.parts.validation is not None
        self._check_batch()
        storage = from_first(fabric, self._storage)
        self.config = replace(config, events=replace(config.events, storage=storage))

    @staticmethod
    def build(config: EgammaConfig) -> EventClassifier:
        """A new model."""
        return EventClassifier(config.resnet)

    @property
    def fingerprint(self) -> str:
        """Of all events, those of the test too."""
        return self.parts.fingerprint

    def start(self, model: Any) -> None:
        """Measure the scaling of the channels, which belongs to the weights, on the training events."""
        how = self.config.events.scaling
        model.scale_by(*from_first(self.fabric, lambda: self.parts.files.normalisation(self.parts.train).scaling(how)))

    def source(self) -> StoredEvents | StreamedEvents:
        """The training events."""
        return self._source(self.parts.train, self.config.train.augmentation)

    def validation(self) -> StoredEvents | StreamedEvents | None:
        """Events as they are, so that the losses of all epochs compare."""
        return None if self.parts.validation is None else self._source(self.parts.validation, Augmentation())

    def _source(self, rows: np.ndarray, augmentation: Augmentation) -> StoredEvents | StreamedEvents:
        events, files = self.config.events, self.parts.files
        if events.storage == "resident":
            found = files.load(rows, device=self.fabric.device)
            return StoredEvents(found.images, found.labels, augmentation)
        seed = self.config.train.seed
        return StreamedEvents(files, rows, augmentation, seed=seed, window=events.window, memory_mb=events.memory_mb)

    def _check_batch(self) -> None:
        """Every process has events enough for batch normalisation in each part of a batch."""
        train, processes = self.config.train, self.fabric.world_size
        plan = Plan(train, StreamedEvents(self.parts.files, self.parts.train), processes=processes)
        part = plan.batch_size // (processes * train.accumulate)
        if part < 2:
            _errors.fail_value("TrainConfig.batch_size", "at least 2 events in each part and process", part)

    def _storage(self) -> Literal["resident", "streamed"]:
        """Where the events shall be, decided once for all processes and for the whole training."""
        if self.config.events.storage != "auto":
            return self.config.events.storage
        parts = self.parts
        held = len(parts.train) + (0 if parts.validation is None else len(parts.validation))
        size = held * 4 * int(np.prod(parts.files.shape))
        if self.fabric.device.type == "cuda":
            free = torch.cuda.mem_get_info(self.fabric.device)[0]
        else:
            size, free = size * self.fabric.world_size, available()  # the processes share it
        return "resident" if size < _RESIDENT * free else "streamed"
