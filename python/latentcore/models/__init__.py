"""Models: nn.Modules and their files, without training code."""

from latentcore.models.autoencoder import Autoencoder, AutoencoderOutput
from latentcore.models.config import (
    AutoencoderConfig,
    GANConfig,
    LatentConfig,
    NetworkConfig,
    ResNetConfig,
    SharpConfig,
    VAEConfig,
)
from latentcore.models.equivariant import BlockRotation
from latentcore.models.events import EventClassifier
from latentcore.models.files import load_autoencoder, load_vae, save_vae
from latentcore.models.gan import GAN, GANOutput
from latentcore.models.latent import build_operator
from latentcore.models.resnet import ResNet15
from latentcore.models.sharp import PrincipalAxes, SharpVAE
from latentcore.models.transforming import TransformedOutput, TransformingVAE
from latentcore.models.vae import VAE, VAEOutput

__all__ = [
    "GAN",
    "VAE",
    "Autoencoder",
    "AutoencoderConfig",
    "AutoencoderOutput",
    "BlockRotation",
    "EventClassifier",
    "GANConfig",
    "GANOutput",
    "LatentConfig",
    "NetworkConfig",
    "PrincipalAxes",
    "ResNet15",
    "ResNetConfig",
    "SharpConfig",
    "SharpVAE",
    "TransformedOutput",
    "TransformingVAE",
    "VAEConfig",
    "VAEOutput",
    "build_operator",
    "load_autoencoder",
    "load_vae",
    "save_vae",
]
