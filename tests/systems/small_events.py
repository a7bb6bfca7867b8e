"""Small events, and a network that learns them."""

import dataclasses

import h5py
import numpy as np

from latentcore.models import ResNetConfig
from latentcore.systems.egamma.config import EgammaConfig, EventsConfig
from latentcore.training import Augmentation, TrainConfig

CONFIG = EgammaConfig(
    ResNetConfig(image_shape=(2, 8, 8), classes=2, width=1 / 16, dropout=0.2),
    TrainConfig(
        epochs=4,
        batch_size=32,
        learning_rate=5e-3,
        ema=0.8,
        schedule="one-cycle",
        checkpoint_every=3,
        augmentation=Augmentation(mirror="xy"),
        channels_last=True,
        validation=0.1,
    ),
    EventsConfig(test=0.2, storage="resident"),
)
STREAMED = dataclasses.replace(CONFIG, events=dataclasses.replace(CONFIG.events, storage="streamed", window=100))


def write_events(path, count=600, seed=0, side=8, channels=2):
    """Electrons have a bright column, photons a bright cell; chunks are small."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 2)
    images = random.exponential(0.1, (count, side, side, channels)) * (random.random((count, side, side, 1)) < 0.3)
    images[:, side // 2, side // 2] += 1
    images[labels == 1, 2 : side - 1, side // 2] += 0.5
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=images.astype("f4"), chunks=(50, side, side, channels), compression="lzf")
        file["y"] = labels.astype("f4")
    return path


def with_train(config=CONFIG, **fields):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **fields))


def with_events(**fields):
    return dataclasses.replace(CONFIG, events=dataclasses.replace(CONFIG.events, **fields))
