"""The training of autoencoders and VAEs."""

from latentcore.models import VAE, Autoencoder
from latentcore.systems.autoencoder.config import AutoencodingConfig
from latentcore.training.images import SIZES, ImageTraining


class Training(ImageTraining[AutoencodingConfig]):
    """An autoencoder or a VAE, and images; their labels count where the model is told classes."""

    needs = SIZES
    shown = ("loss",)  # its terms have the names of what evaluation finds on test images

    @staticmethod
    def build(config: AutoencodingConfig) -> VAE | Autoencoder:
        """A new model."""
        if config.vae is not None:
            return VAE(config.vae)
        assert config.autoencoder is not None, "one of both is given"
        return Autoencoder(config.autoencoder)

    @property
    def classes(self) -> int:
        """Number of classes that the model is told."""
        return self.config.network.classes
