"""Configuration of the few-label system, and measured ones for handwritten digits of three classes."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from latentcore import _config, _errors
from latentcore.models.config import VAEConfig
from latentcore.models.parts import MLPConfig
from latentcore.training.config import Augmentation, ImageConfiguration, TrainConfig


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
class FewLabelConfig(ImageConfiguration):
    """Configuration of the few-label system: its VAE, its training, its mixture, and what it learns from.

    Attributes:
        vae: The VAE.
        train: How it is trained.
        mixture: The mixture in its latents.
        classes: Those that are learned and judged, of images with labels; () are all. Images without labels are all
            learned.
        labels_per_class: How many labels of each class are known, where nobody gives images whose labels are known:
            such images are drawn from those to learn from.
    """

    _network: ClassVar[str] = "vae"

    vae: VAEConfig = field(default_factory=VAEConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    classes: tuple[int, ...] = ()
    labels_per_class: int = 5

    def __post_init__(self) -> None:
        _config.check_types(self)
        _config.in_range(self, "classes", 0)
        if len(set(self.classes)) != len(self.classes):
            _errors.fail_value("FewLabelConfig.classes", "different classes", self.classes)
        _config.in_range(self, "labels_per_class", 1)


def upgraded(plain: dict[str, Any]) -> dict[str, Any]:
    """Version 0.1.0 named the classes with where the images come from, and only of runs of the command line."""
    source = plain.get("source")
    if not isinstance(source, dict):
        return plain
    return plain | {name: source[name] for name in ("classes", "labels_per_class") if name in source}


# Small random transformations teach that a slanted digit is the same digit, which keeps the classes apart in the
# plane; reconstructing what went in, and ending without them, keeps the pictures sharp.
_DIGITS148 = FewLabelConfig(
    vae=VAEConfig(
        network=MLPConfig(
            hidden=(512, 256, 128), decoder_hidden=(64, 128, 256, 512), normalisation="batch", decoder_bias_std=1.0
        )
    ),
    train=TrainConfig(
        epochs=36,
        batch_size=256,
        learning_rate=5e-3,
        schedule="one-cycle",
        pct_start=0.2,
        beta=0.2,
        beta_warmup=0.1,
        augmentation=Augmentation(degrees=5.0, translate=1.0, scale=0.05, shear=5.71, full_until=0.2, zero_from=0.8),
        reconstruct="augmented",
        freeze_normalisation_at=0.7,
    ),
    mixture=MixtureConfig(start="restarts", components=15, restarts=10, subsample=4000),
    classes=(1, 4, 8),
)

# The textbook's version, for comparison.
_PLAIN = FewLabelConfig(
    vae=VAEConfig(network=MLPConfig(hidden=(128,), decoder_hidden=(128,))),
    train=TrainConfig(epochs=10, batch_size=128, learning_rate=1e-3),
    mixture=MixtureConfig(start="class-means"),
    classes=(1, 4, 8),
)

PRESETS = {"digits148": _DIGITS148, "plain": _PLAIN}
