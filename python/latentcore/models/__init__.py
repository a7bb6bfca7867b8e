"""Models: nn.Modules and their files, without training code."""

from latentcore.models.autoencoder import Autoencoder, AutoencoderConfig, AutoencoderOutput
from latentcore.models.equivariant import BlockRotation
from latentcore.models.events import EventClassifier
from latentcore.models.files import load_autoencoder, load_vae, save_vae
from latentcore.models.gan import GAN, GANConfig, GANOutput
from latentcore.models.latent import LatentConfig, build_operator
from latentcore.models.networks import NetworkConfig
from latentcore.models.resnet import ResNet15, ResNetConfig
from latentcore.models.sharp import PrincipalAxes, SharpConfig, SharpVAE
from latentcore.models.transforming import TransformedOutput, TransformingVAE
from latentcore.models.vae import VAE, VAEConfig, VAEOutput

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
