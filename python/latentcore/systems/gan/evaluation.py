"""How well a GAN's samples resemble real images, as a classifier sees both."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from latentcore import metrics
from latentcore.data import ImageSet
from latentcore.evaluate.pictures import spread
from latentcore.systems.gan.run import GANRun

# shapes: (N, C, H, W) images, (N, L) latents, (N, F) features, K classes

SAMPLES = 10_000


class Sampler(Protocol):
    """A run that draws images from its prior, such as a `GANRun` or a VAE's."""

    folder: Path

    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W) in [0, 1]."""


class Classifier(Protocol):
    """A run that knows the classes of images, such as one of the system `classifier`."""

    model: Any

    def features(self, images: Any) -> Tensor:
        """What its last layer reads, (N, F)."""


class Likeness(NamedTuple):
    """How much images resemble real ones.

    Attributes:
        frechet: Squared Fréchet distance of their features to those of the real images.
        coverage_error: How far the share of a class is from 1 / K, of the class that is farthest, in percentage points.
        shares: Of the classes among the images, as the classifier sees them. (K,), float64.
    """

    frechet: float
    coverage_error: float
    shares: Tensor


class Judge:
    """A classifier that compares images with real ones.

    Args:
        classifier: Sees the classes; its features are what its last layer reads.
        real: Real images that neither it nor the models have been trained on. (M, C, H, W) or (M, H, W), uint8 or float
            in [0, 1].

    Example:
        >>> judge = Judge(latentcore.load_run("runs/judge"), test.images)  # doctest: +SKIP
        >>> judge.likeness(latentcore.load_run("runs/gan").sample(10_000)).coverage_error  # doctest: +SKIP
        1.8
    """

    def __init__(self, classifier: Classifier, real: Any) -> None:
        self._classifier = classifier
        self._real = classifier.features(real)

    @torch.no_grad()
    def likeness(self, images: Any) -> Likeness:
        """How much images (N, C, H, W), N >= 2, resemble the real ones."""
        features = self._classifier.features(images)
        logits = self._classifier.model.head(features)
        shares = logits.argmax(1).bincount(minlength=logits.shape[1]).double() / len(features)
        error = 100 * float((shares - 1 / len(shares)).abs().max())
        return Likeness(metrics.frechet_distance(features, self._real), error, shares)


def figures(
    run: GANRun,
    classifier: Classifier,
    train: ImageSet,
    test: ImageSet,
    *,
    beside: Sampler | None = None,
    samples: int = SAMPLES,
) -> dict[str, float]:
    """Figures of a GAN's samples, of as many training images, which no model can be nearer than, and of another run's.

    Args:
        run: The GAN.
        classifier: Of the images' classes, trained on `train`.
        train: What the GAN was trained on.
        test: Real images to compare with.
        beside: A run whose samples are judged too, for example a VAE's.
        samples: Their number.

    Returns:
        ``frechet`` and ``coverage_error`` as `Likeness` has them, ``share_0`` and so on in percent; the first two with
        the ending ``_real`` for training images and ``_beside`` for the other run, and ``frechet_ratio``, that of the
        GAN over the other run's.
    """
    judge = Judge(classifier, test.images)
    own = judge.likeness(run.sample(samples))
    found = {"samples": float(samples), "frechet": own.frechet, "coverage_error": own.coverage_error}
    real = judge.likeness(spread(train.images, samples))
    found |= {"frechet_real": real.frechet, "coverage_error_real": real.coverage_error}
    if beside is not None:
        other = judge.likeness(beside.sample(samples))
        found |= {"frechet_beside": other.frechet, "coverage_error_beside": other.coverage_error}
        found["frechet_ratio"] = own.frechet / other.frechet if other.frechet else float("inf")
    return found | {f"share_{name}": 100 * float(share) for name, share in enumerate(own.shares)}
