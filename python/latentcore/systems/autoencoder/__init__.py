"""Autoencoders and VAEs, side by side and on the way from one image to another."""

from latentcore.systems.autoencoder.config import PRESETS, AutoencodingConfig, AutoencodingOptions
from latentcore.training.system import Command, System

SYSTEM = System(
    name="autoencoder",
    does="an autoencoder or a VAE of images",
    config=AutoencodingConfig,
    presets=PRESETS,
    training="latentcore.systems.autoencoder.training:Training",
    run="latentcore.training.run:CodingRun",
    checked="latentcore.systems.autoencoder.command:check",
    evaluate="latentcore.systems.autoencoder.command:evaluate",
    options=AutoencodingOptions,
    aliases=("vae",),  # the VAEs that rotation trains alone have said so
    headlines=("nats", "iw_nll", "mse", "psnr", "ssim"),
    commands={
        "compare": Command("autoencoders and VAEs side by side", "latentcore.systems.autoencoder.command:compare"),
        "interpolate": Command(
            "the way from an image to another", "latentcore.systems.autoencoder.command:interpolate"
        ),
    },
)
