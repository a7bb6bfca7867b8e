"""Measured configurations of the systems that transform images in latent space."""

from dataclasses import replace

from latentcore.models import LatentConfig, VAEConfig
from latentcore.training.config import Augmentation, TrainConfig
from latentcore.training.objectives import TransformationLoss
from latentcore.training.pairs import PairsConfig
from latentcore.training.rotation import RotationConfig

_VAE = VAEConfig(latent=32, encoder="conv", hidden=(256,), decoder_hidden=(256,), channels=(32, 64))  # the study's
_SMOOTH = replace(_VAE, activation="silu")

# The latents are learned together with what turns them. A small beta keeps the strokes sharp; reconstructing upright
# and turned digits alike keeps the decoder from preferring either.
ROTATION = RotationConfig(
    vae=_SMOOTH,
    operator=LatentConfig(model="equivariant"),
    pairs=PairsConfig(upright=0.5, same=0.25),
    train=TrainConfig(
        epochs=25,
        batch_size=256,
        learning_rate=2e-3,
        schedule="one-cycle",
        beta=0.1,
        precision="auto",
        channels_last=True,
    ),
)

# Without the orientations from 90 to 180 degrees, neither as a picture nor as what to draw.
_OTHERS = tuple(angle for angle in ROTATION.pairs.angles if not 90 <= angle <= 180)
_SHORTER = replace(ROTATION.train, epochs=15)
HELD_OUT = replace(ROTATION, pairs=replace(ROTATION.pairs, angles=_OTHERS), train=_SHORTER)

# Fours and sevens are only ever seen upright.
NEVER_TURNED = replace(ROTATION, pairs=replace(ROTATION.pairs, upright_labels=(4, 7)), train=_SHORTER)

# A VAE of turned digits first; the transformation is found afterwards, around a chart of its latents.
FROZEN = replace(
    ROTATION,
    operator=LatentConfig(model="equivariant", couplings=4, activation="silu"),
    train=replace(ROTATION.train, epochs=10),
    vae_train=replace(_SHORTER, augmentation=Augmentation(degrees=180.0), reconstruct="augmented"),
)

# The study's recipe: a VAE of upright digits, then an MLP on pairs of latents.
STUDY = RotationConfig(
    vae=_VAE,
    operator=LatentConfig(model="mlp"),
    pairs=PairsConfig(upright=1.0, same=0.0),
    loss=TransformationLoss(image=0.0, latent=1.0),
    train=TrainConfig(epochs=10, batch_size=128, learning_rate=1e-3),
    vae_train=TrainConfig(epochs=20, batch_size=128, learning_rate=1e-3),
)

SCALE_TRANSLATE = replace(
    ROTATION,
    operator=LatentConfig(model="mlp", hidden=(512, 512, 512), activation="silu"),
    pairs=PairsConfig(angles=(0.0,), scale=(0.7, 1.3), translate=4.0, upright=0.7, same=0.1),
    train=_SHORTER,
)
