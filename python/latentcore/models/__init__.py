"""Models: nn.Modules and their files, without training code."""

from latentcore.models.autoencoder import Autoencoder, AutoencoderConfig, AutoencoderOutput
from latentcore.models.files import load_autoencoder, load_vae, save_vae
from latentcore.models.networks import NetworkConfig
from latentcore.models.vae import VAE, VAEConfig, VAEOutput

__all__ = [
    "VAE",
    "Autoencoder",
    "AutoencoderConfig",
    "AutoencoderOutput",
    "NetworkConfig",
    "VAEConfig",
    "VAEOutput",
    "load_autoencoder",
    "load_vae",
    "save_vae",
]
