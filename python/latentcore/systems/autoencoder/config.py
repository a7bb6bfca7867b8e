"""Configuration of an autoencoder or a VAE, and measured ones: the studies' own, and their relatives."""

from dataclasses import dataclass, field, replace
from typing import Self

from latentcore import _config, _errors
from latentcore.models.config import AutoencoderConfig, VAEConfig
from latentcore.models.parts import AttentionConfig, ConvConfig, GaussianConfig, MLPConfig, ResidualConfig
from latentcore.training.config import Augmentation, TrainConfig


@dataclass(frozen=True)
class AutoencodingConfig(_config.Configuration):
    """Configuration of an autoencoder or a VAE, of which one is given, and of its training."""

    vae: VAEConfig | None = None
    autoencoder: AutoencoderConfig | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        if (self.vae is None) == (self.autoencoder is None):
            got = "none" if self.vae is None else "both"
            _errors.fail_value("AutoencodingConfig", "a vae or an autoencoder, the other one none", got)

    @property
    def network(self) -> VAEConfig | AutoencoderConfig:
        """The one that is given."""
        found = self.vae or self.autoencoder
        assert found is not None
        return found

    def for_shape(self, shape: tuple[int, ...]) -> Self:
        """The same for images of another size, (C, H, W)."""
        channels, height, width = shape
        size = (channels, height, width)
        if self.vae is not None:
            return replace(self, vae=replace(self.vae, image_shape=size))
        assert self.autoencoder is not None, "one of both is given"
        return replace(self, autoencoder=replace(self.autoencoder, image_shape=size))


@dataclass(frozen=True)
class AutoencodingOptions:
    """What is drawn besides.

    Attributes:
        tsne: t-SNE of the latents too, which takes minutes.
    """

    tsne: bool = False


# the studies train 784-128-2 and their like for ten epochs of Adam; a cycle of the rate gets further in as many
_SHORT = TrainConfig(epochs=10, batch_size=128, learning_rate=5e-3, schedule="one-cycle")
_LONG = replace(_SHORT, epochs=20, learning_rate=2e-3)
_CONVOLUTIONS = replace(_SHORT, epochs=30, learning_rate=3e-3, precision="auto", channels_last=True)

PRESETS = {
    "vae-2d": AutoencodingConfig(
        vae=VAEConfig(latent=2, network=MLPConfig(hidden=(128,), decoder_hidden=(128,))), train=_SHORT
    ),
    "ae-2d": AutoencodingConfig(
        autoencoder=AutoencoderConfig(latent=2, network=MLPConfig(hidden=(128,), decoder_hidden=(128,))), train=_SHORT
    ),
    "vae-2d-deep": AutoencodingConfig(
        vae=VAEConfig(
            latent=2,
            network=MLPConfig(
                hidden=(512, 256, 128), decoder_hidden=(64, 128, 256, 512), normalisation="batch", decoder_bias_std=1.0
            ),
        ),
        train=replace(
            _SHORT,
            epochs=40,
            batch_size=256,
            learning_rate=4e-3,
            pct_start=0.1,
            binarise=True,
            freeze_normalisation_at=0.9,
        ),
    ),
    "ae-20": AutoencodingConfig(
        autoencoder=AutoencoderConfig(
            latent=20, likelihood=GaussianConfig(), network=MLPConfig(hidden=(512, 256), decoder_hidden=(256, 512))
        ),
        train=_LONG,
    ),
    "vae-20": AutoencodingConfig(
        vae=VAEConfig(latent=20, network=MLPConfig(hidden=(512, 256), decoder_hidden=(256, 512))), train=_LONG
    ),
    "vae-10": AutoencodingConfig(
        vae=VAEConfig(latent=10, network=MLPConfig(hidden=(512, 256), decoder_hidden=(256, 512))), train=_LONG
    ),
    "beta-vae": AutoencodingConfig(
        vae=VAEConfig(latent=10, network=MLPConfig(hidden=(512, 256), decoder_hidden=(256, 512))),
        train=replace(_LONG, beta=4.0, beta_warmup=0.2),
    ),
    "cvae": AutoencodingConfig(
        vae=VAEConfig(latent=10, classes=10, network=MLPConfig(hidden=(512, 256), decoder_hidden=(256, 512))),
        # samples are of the class that is asked for where the latents keep to their prior
        train=replace(_LONG, epochs=30, beta=3.0),
    ),
    "denoising": AutoencodingConfig(
        autoencoder=AutoencoderConfig(
            latent=32, noise=0.5, network=MLPConfig(hidden=(512, 256), decoder_hidden=(256, 512))
        ),
        train=_LONG,
    ),
    "conv-vae-32": AutoencodingConfig(
        vae=VAEConfig(latent=32, network=ConvConfig(channels=(32, 64), hidden=(256,), decoder_hidden=(256,))),
        train=_CONVOLUTIONS,
    ),
    "residual-vae-32": AutoencodingConfig(
        vae=VAEConfig(latent=32, network=ResidualConfig(channels=(32, 64), hidden=(256,), decoder_hidden=(256,))),
        # so many epochs would learn the training images by heart
        train=replace(
            _CONVOLUTIONS,
            epochs=50,
            augmentation=Augmentation(degrees=5.0, translate=1.0, scale=0.05, shear=5.0, full_until=0.4, zero_from=0.7),
            reconstruct="augmented",
        ),
    ),
    "attention": AutoencodingConfig(
        vae=VAEConfig(latent=16, network=AttentionConfig(width=64, layers=2, hidden=(), decoder_hidden=(256, 512))),
        train=_LONG,
    ),
}
