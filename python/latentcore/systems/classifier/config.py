"""Configuration of a classifier, and measured ones of digits."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from latentcore import _config
from latentcore.models.config import ResNetConfig
from latentcore.training.config import Augmentation, ImageConfiguration, TrainConfig


@dataclass(frozen=True)
class ClassifierConfig(ImageConfiguration):
    """Configuration of a classifier: its network and its training."""

    _network: ClassVar[str] = "resnet"

    resnet: ResNetConfig = field(default_factory=ResNetConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)


_UPRIGHT = ClassifierConfig(
    resnet=ResNetConfig(width=0.25, dropout=0.1),
    train=TrainConfig(
        epochs=8,
        batch_size=256,
        learning_rate=5e-3,
        schedule="one-cycle",
        weight_decay=1e-2,
        augmentation=Augmentation(degrees=10.0, translate=1.0, scale=0.1),
        precision="auto",
        channels_last=True,
    ),
)

# at any angle; sixes and nines upside down stay each other's likeness
_ROTATED = replace(
    _UPRIGHT, train=replace(_UPRIGHT.train, augmentation=Augmentation(degrees=180.0, translate=1.0, scale=0.1))
)

PRESETS = {"rotated": _ROTATED, "upright": _UPRIGHT}
