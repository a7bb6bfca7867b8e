"""Measured configurations of the digit classifier."""

from dataclasses import replace

from latentcore.models import ResNetConfig
from latentcore.training.classifier import ClassifierConfig
from latentcore.training.config import Augmentation, TrainConfig

UPRIGHT_DIGITS = ClassifierConfig(
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
ROTATED_DIGITS = replace(
    UPRIGHT_DIGITS,
    train=replace(UPRIGHT_DIGITS.train, augmentation=Augmentation(degrees=180.0, translate=1.0, scale=0.1)),
)
