"""Small rotations to learn, for the tests of their training."""

import dataclasses

import torch

from latentcore import train
from latentcore.models import LatentConfig, MLPConfig, VAEConfig
from latentcore.systems.rotation.config import PairsConfig, RotationConfig, TransformationWeights
from latentcore.training import TrainConfig

SHAPE = {"image_shape": (1, 12, 12), "network": MLPConfig(hidden=(64,), decoder_hidden=(64,))}
TRAIN = TrainConfig(epochs=3, batch_size=32, learning_rate=5e-3, beta=0.2, device="cpu")
CONFIG = RotationConfig(
    vae=VAEConfig(latent=12, **SHAPE), operator=LatentConfig(hidden=(16,), width=16, tokens=4), train=TRAIN
)
# batch normalisation, a schedule and a latent term: all that has a state is on
FROZEN = RotationConfig(
    vae=VAEConfig(
        latent=8, image_shape=(1, 12, 12), network=dataclasses.replace(SHAPE["network"], normalisation="batch")
    ),
    operator=LatentConfig(model="mlp", hidden=(16,)),
    loss=TransformationWeights(latent=0.1, cosine=0.1),
    train=dataclasses.replace(TRAIN, schedule="one-cycle"),
    vae_train=dataclasses.replace(TRAIN, epochs=4, gradient_clip=50.0),
)
ANGLES = (30.0, 90.0, 210.0, 320.0)  # the last one is not among those of the training


def bars():
    """200 uint8 images (200, 12, 12), each with a bar from the left edge, of random height, length and brightness."""
    generator = torch.Generator().manual_seed(0)
    row, column = torch.arange(12)[:, None], torch.arange(12)
    low, end = (torch.randint(a, b, (200, 1, 1), generator=generator) for a, b in ((3, 7), (6, 10)))
    inside = (row >= low) & (row < low + 2) & (column >= 1) & (column < end)
    return (inside * torch.randint(200, 256, (200, 1, 1), generator=generator)).to(torch.uint8)


def trained(images, config, run_dir, **more):
    return train("rotation", images, config=config, run_dir=run_dir, **more)


def with_operator(model, config=CONFIG, **fields):
    return dataclasses.replace(config, operator=dataclasses.replace(config.operator, model=model, **fields))


def runs_that_learned_little(folder):
    """By the kind of their operator, and one that learned no rotations."""
    short = dataclasses.replace(CONFIG, train=dataclasses.replace(TRAIN, epochs=1))
    found = {
        model: trained(bars(), with_operator(model, short), folder / model)
        for model in ("equivariant", "mlp", "step", "recurrent", "transformer")
    }
    pairs = PairsConfig(angles=(0.0,), scale=(0.5, 1.5), translate=2.0)
    found["zoom"] = trained(bars(), dataclasses.replace(with_operator("mlp", short), pairs=pairs), folder / "z")
    return found
