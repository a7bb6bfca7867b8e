"""Measured configurations of the few-label system for handwritten digits of three classes."""

from latentcore.models import VAEConfig
from latentcore.training.config import Augmentation, TrainConfig
from latentcore.training.few_label import FewLabelConfig, MixtureConfig

# Small random transformations teach that a slanted digit is the same digit, which keeps the classes apart in the
# plane; reconstructing what went in, and ending without them, keeps the pictures sharp.
DIGITS148 = FewLabelConfig(
    vae=VAEConfig(
        hidden=(512, 256, 128),
        decoder_hidden=(64, 128, 256, 512),
        normalisation="batch",
        decoder_bias_std=1.0,
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
)

# The textbook's version, for comparison.
PLAIN = FewLabelConfig(
    vae=VAEConfig(hidden=(128,), decoder_hidden=(128,)),
    train=TrainConfig(epochs=10, batch_size=128, learning_rate=1e-3),
    mixture=MixtureConfig(start="class-means"),
)
