"""Configurations of VAEs of photographs."""

from dataclasses import replace

from latentcore.models import SharpConfig
from latentcore.training.config import Augmentation, TrainConfig
from latentcore.training.photographs import PhotographsConfig

# beta is the variance of the pixels' noise: the likelihood is the squared error, halved
_TRAIN = TrainConfig(
    epochs=50,
    batch_size=64,
    learning_rate=2e-3,
    schedule="one-cycle",
    pct_start=0.1,
    gradient_clip=1.0,
    beta=0.01,
    # turned images have black corners, of which the last epochs are free
    augmentation=Augmentation(degrees=5.0, mirror="x", full_until=0.6),
    reconstruct="augmented",
    precision="auto",
    channels_last=True,
)

PHOTOGRAPHS: dict[str, PhotographsConfig] = {
    "photographs": PhotographsConfig(vae=SharpConfig(latent=64), train=_TRAIN),
    # pieces of pictures: there are many that share pixels, nothing is upright, and means are all that is asked for
    "patches": PhotographsConfig(
        vae=SharpConfig(latent=256),
        train=replace(_TRAIN, epochs=1, learning_rate=1e-3, beta=1e-3, augmentation=Augmentation(mirror="xy")),
    ),
}
