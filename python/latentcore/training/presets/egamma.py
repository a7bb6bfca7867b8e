"""Measured configurations of the classifier of electrons and photons."""

from dataclasses import replace

from latentcore.models import ResNetConfig
from latentcore.training.config import Augmentation, TrainConfig
from latentcore.training.egamma import EgammaConfig

EGAMMA = EgammaConfig(
    resnet=ResNetConfig(image_shape=(2, 32, 32), classes=2, dropout=0.2),
    train=TrainConfig(
        epochs=20,
        batch_size=64,
        learning_rate=2e-3,
        schedule="one-cycle",
        weight_decay=1e-2,
        gradient_clip=1.0,
        # showers look the same upside down, and those of either charge mirror each other
        augmentation=Augmentation(mirror="xy", center=(15.0, 15.0)),
        early_stop=6,
        checkpoint_every=500,
        precision="auto",
        channels_last=True,
    ),
)

# for two cores: a sixtieth of the operations; so few channels are faster outside than inside
SMALL = replace(
    EGAMMA,
    resnet=replace(EGAMMA.resnet, width=0.125, dropout=0.1),
    train=replace(EGAMMA.train, epochs=10, batch_size=128, learning_rate=5e-3, channels_last=False),
)
