"""A trained classifier of electrons and photons, ready for use."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore._memory import bounded
from latentcore.data.convert import as_events
from latentcore.data.egamma import EgammaFiles, Events
from latentcore.data.examples import Where
from latentcore.models import EventClassifier
from latentcore.systems.egamma.config import EgammaConfig
from latentcore.systems.egamma.parts import EVENTS, Parts, Paths, words_of
from latentcore.training.processes import alone
from latentcore.training.run import Run

# shapes: (N, C, H, W) events

_BATCH = 128  # events at a time: what they are on their way through the network stays small


class EgammaRun(Run[EgammaConfig]):
    """A trained classifier of electrons and photons, on the device of its training where there is one here.

    Example:
        >>> import latentcore
        >>> from latentcore.data.egamma.simulator import write
        >>> from latentcore.models import ResNetConfig
        >>> from latentcore.systems.egamma.config import EgammaConfig
        >>> from latentcore.training import TrainConfig
        >>> write("events.h5", 300)
        >>> network = ResNetConfig(image_shape=(2, 32, 32), classes=2, width=0.125)
        >>> config = EgammaConfig(network, TrainConfig(epochs=1, batch_size=40))
        >>> run = latentcore.train("egamma", "events.h5", config=config)
        >>> parts = run.parts()
        >>> run.predict_proba(parts.test_files.load(parts.test).images).shape
        torch.Size([30, 2])
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], config: EgammaConfig, model: EventClassifier) -> None:
        super().__init__(folder, about, config, model)
        memory_format = torch.channels_last if config.train.channels_last else torch.contiguous_format
        self._device = alone(config.train).device
        self.model.to(self._device).to(memory_format=memory_format)

    @torch_as_usual(gradients=False)
    def parts(self, paths: Paths | None = None, test: Paths | None = None) -> Parts:
        """The events of the training, validation and test, from where they were or from where they lie now.

        Raises:
            OSError: A file is missing.
            ValueError: The events are not those of this run, or a file is damaged.
        """
        where = Where(words_of("paths", paths), words_of("test", test))
        parts: Parts = EVENTS.reopened(self.folder, where, self.config, "both").train
        return parts

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
