"""Configuration of a GAN, and measured ones."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from latentcore import _config
from latentcore.models.config import GANConfig
from latentcore.training.config import ImageConfiguration, TrainConfig, check_channels


@dataclass(frozen=True)
class Adversarial:
    """The loss, `latentcore.systems.gan.objective.AdversarialLoss`.

    Attributes:
        weight: Of the penalty.
        share: Of the batch, of which the penalty is the mean; at least one image.
    """

    weight: float = 1.0
    share: float = 0.25

    def __post_init__(self) -> None:
        _config.check_types(self)
        _config.in_range(self, "weight", 0)
        _config.in_range(self, "share", 0, 1)


@dataclass(frozen=True)
class GANTraining(ImageConfiguration):
    """Configuration of a GAN: its networks, its loss and its training; images have 1 channel or 3."""

    _network: ClassVar[str] = "gan"

    gan: GANConfig = field(default_factory=GANConfig)
    loss: Adversarial = field(default_factory=Adversarial)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        check_channels("GANConfig.image_shape", self.gan.image_shape)


@dataclass(frozen=True)
class GANOptions:
    """What samples are compared with.

    Attributes:
        classifier: A run of a classifier, in whose features samples are compared.
        beside: A run of a VAE or a GAN, whose samples stand beside its own.
    """

    classifier: Any = field(default=None, metadata={"run": True})
    beside: Any = field(default=None, metadata={"run": True})


PRESETS = {
    "digits": GANTraining(
        gan=GANConfig(latent=64, channels=(32, 64), hidden=128),
        loss=Adversarial(weight=1.0, share=0.125),
        train=TrainConfig(
            epochs=20,
            batch_size=64,
            learning_rate=1e-3,
            betas=(0.5, 0.99),
            schedule="cosine",
            ema=0.999,
            precision="auto",
            channels_last=True,
        ),
    ),
}
