"""A trained classifier, ready for use."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentcore._ambient import torch_as_usual
from latentcore._memory import bounded
from latentcore.data.convert import as_images, to_unit
from latentcore.systems.classifier.config import ClassifierConfig
from latentcore.training.run import Run

# shapes: (N, C, H, W) images, K classes, F features

_BATCH = 2048  # images at a time, so that memory does not grow with N


class ClassifierRun(Run[ClassifierConfig]):
    """A trained classifier."""

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
