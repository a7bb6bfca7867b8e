"""Images at angles around the circle, and what a classifier still tells there."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from latentcore.data import transformed

# shapes: (N, C, H, W) images, (N, 4) parameters: degrees, scale, pixels right, pixels down

ANGLES = tuple(30.0 * step for step in range(12))


class Classifier(Protocol):
    """A run that knows the classes of images, such as one of the system `classifier`."""

    def classify(self, images: Any) -> Tensor:
        """Labels (N,) of images (N, C, H, W)."""


def moves(count: int, angle: float) -> Tensor:
    """The parameters (count, 4) of a rotation."""
    return torch.tensor([angle, 1.0, 0.0, 0.0]).expand(count, 4)


def classifier_accuracy(
    classifier: Classifier, images: Tensor, labels: Tensor, angles: Sequence[float] = ANGLES
) -> float:
    """The classifier's accuracy on truly rotated images (N, C, H, W), uint8, the mean over the angles."""
    right = 0.0
    for angle in angles:
        seen = classifier.classify(transformed(images, moves(len(images), angle)).clamp_(0, 1))
        right += float((seen == labels).float().mean())
    return right / len(angles)
