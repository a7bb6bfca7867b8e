"""Rotations, scales and translations in latent space: a VAE, and an operator on its latents."""

from latentcore.systems.rotation.config import PRESETS, RotationConfig, RotationOptions, upgraded
from latentcore.training.system import Command, System

SYSTEM = System(
    name="rotation",
    does="a VAE, and what a rotation of an image does to its latents",
    config=RotationConfig,
    presets=PRESETS,
    training="latentcore.systems.rotation.training:Training",
    run="latentcore.systems.rotation.run:RotationRun",
    checked="latentcore.systems.rotation.command:check",
    evaluate="latentcore.systems.rotation.command:evaluate",
    data="latentcore.systems.rotation.pairs:IMAGES",
    options=RotationOptions,
    shortcuts={
        # of both phases, where the VAE is trained alone before
        "--seed": ("train.seed", "vae_train.seed"),
        "--device": ("train.device", "vae_train.device"),
        "--precision": ("train.precision", "vae_train.precision"),
        "--model": ("operator.model",),
        "--latent": ("vae.latent",),
        "--activation": ("operator.activation", "vae.network.activation"),
        "--digits": ("digits",),
    },
    upgraded=upgraded,
    headlines=("psnr_gap_worst", "psnr_mean", "label_kept_worst", "ssim_worst"),
    commands={
        "transform": Command(
            "turn, scale or move an image in latent space", "latentcore.systems.rotation.command:transform"
        ),
        "sweep": Command("many variants of a system as one table", "latentcore.systems.rotation.command:sweep"),
    },
)
