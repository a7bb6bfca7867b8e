"""Configurations of all models: frozen dataclasses that travel through JSON unchanged. Without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from latentcore import _config, _errors
from latentcore.models import upgrades
from latentcore.models.parts import (
    Activation,
    BernoulliConfig,
    GaussianConfig,
    LikelihoodConfig,
    MLPConfig,
    NetworkConfig,
    PriorConfig,
    Shape,
    StandardNormalConfig,
    check_channels,
    check_halvings,
    check_multiples,
    halved,
)

_CHANNELS = (64, 128, 256, 512)
_ROUNDING = 1e-6  # of a number of steps
HEADS = 4  # of attention


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """What every autoencoder is told, whatever its layers are.

    Attributes:
        image_shape: (C, H, W) of one image.
        latent: Number of latent axes.
        likelihood: How the pixels are distributed, given what the decoder computes.
        noise: Standard deviation of the normal noise that is added to images while training, whose clean ones are to be
            drawn; the sum is cut off at 0 and 1.
    """

    image_shape: Shape = (1, 28, 28)
    latent: int = 2
    likelihood: LikelihoodConfig = field(default_factory=BernoulliConfig)
    noise: float = 0.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("image_shape", "latent"):
            _config.in_range(self, name, 1)
        _config.in_range(self, "noise", 0)

    @property
    def classes(self) -> int:
        """Classes that encoder and decoder are told; 0 tells them nothing."""
        return 0


@dataclass(frozen=True)
class LayeredConfig(EncoderDecoderConfig):
    """The same of one with layers that are named.

    Attributes:
        classes: Classes that encoder and decoder are told, as one-hot vectors; 0 tells them nothing.
        network: The layers.
    """

    classes: int = 0
    network: NetworkConfig = field(default_factory=MLPConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        _config.in_range(self, "classes", 0)
        self.network.check_images(f"{type(self).__name__}.image_shape", self.image_shape)

    @classmethod
    def upgraded(cls, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        """What files of before say, in today's words."""
        return upgrades.with_network(plain)

    @property
    def feature_shape(self) -> Shape:
        """(C, H, W) of what the decoder's fully connected layers make; convolutions of the encoder give as much."""
        return self.network.feature_shape(self.image_shape)


@dataclass(frozen=True)
class VAEConfig(LayeredConfig):
    """Configuration of a `VAE`.

    Attributes:
        image_shape: (C, H, W) of one image.
        latent: Number of latent axes.
        likelihood: How the pixels are distributed, given what the decoder computes.
        noise: Standard deviation of the normal noise that is added to images while training, whose clean ones are to be
            drawn; the sum is cut off at 0 and 1.
        classes: Classes that encoder and decoder are told, as one-hot vectors; 0 tells them nothing.
        network: The layers of encoder and decoder.
        prior: How the latents are distributed before an image is seen.

    Example:
        >>> from latentcore.models import ConvConfig, MixturePriorConfig, VAEConfig
        >>> VAEConfig(latent=8, network=ConvConfig(channels=(16, 32)), prior=MixturePriorConfig(10)).feature_shape
        (32, 7, 7)
    """

    prior: PriorConfig = field(default_factory=StandardNormalConfig)


@dataclass(frozen=True)
class AutoencoderConfig(LayeredConfig):
    """Configuration of an `Autoencoder`: as a `VAEConfig`, without a prior."""


@dataclass(frozen=True)
class GANConfig:
    """What a `GAN` looks like.

    Attributes:
        image_shape: (C, H, W) of one image; H and W are multiples of 2 ** len(channels).
        latent: Number of latent axes, L.
        channels: Channels of the discriminator's convolutions, first to last; the generator mirrors them.
        hidden: Size of the fully connected layer between the discriminator's convolutions and its answer.
    """

    image_shape: Shape = (1, 28, 28)
    latent: int = 64
    channels: tuple[int, ...] = (64, 128)
    hidden: int = 256

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("image_shape", "latent", "hidden"):
            _config.in_range(self, name, 1)
        check_channels(self)
        check_halvings("GANConfig.image_shape", self.image_shape, self.channels)

    @property
    def feature_shape(self) -> Shape:
        """(C, H, W) of the smallest maps, between convolutions and fully connected layers."""
        return halved(self.image_shape, self.channels)


@dataclass(frozen=True)
class ResNetConfig:
    """What a `ResNet15` looks like.

    Attributes:
        image_shape: (C, H, W) of one image.
        classes: Number of classes, K.
        width: Multiplier of the channels 64, 128, 256 and 512 of the four blocks.
        dropout: Probability with which a feature is dropped before the last layer.
    """

    image_shape: Shape = (1, 28, 28)
    classes: int = 10
    width: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("image_shape", "classes"):
            _config.in_range(self, name, 1)
        _config.in_range(self, "width", 1 / 64, 16)
        _config.in_range(self, "dropout", 0, 0.99)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the four blocks."""
        return tuple(max(1, round(self.width * channels)) for channels in _CHANNELS)


@dataclass(frozen=True)
class SharpConfig(EncoderDecoderConfig):
    """Configuration of a `SharpVAE`.

    Attributes:
        image_shape: (C, H, W) of one image; H and W are multiples of 2 ** (len(channels) + 1).
        latent: Number of latent axes.
        likelihood: How the pixels are distributed, given what the decoder computes.
        noise: As `VAEConfig` has it.
        channels: Of the encoder at a quarter of the image's size, an eighth, and so on, two at least; the decoder
            mirrors them up to a quarter.
        blocks: Residual blocks after each convolution of the encoder, and before each of the decoder.
        activation: What follows the normalisation of each of their layers.
        refinements: Residual blocks at a quarter of the image's size that work on what is drawn.
        prior: How the latents are distributed before an image is seen.
    """

    image_shape: Shape = (3, 64, 64)
    latent: int = 64
    likelihood: LikelihoodConfig = field(default_factory=GaussianConfig)
    channels: tuple[int, ...] = (64, 128, 128)
    blocks: int = 1
    activation: Activation = "leaky_relu"
    refinements: int = 2
    prior: PriorConfig = field(default_factory=StandardNormalConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_channels(self)
        for name in ("blocks", "refinements"):
            _config.in_range(self, name, 0)
        if len(self.channels) < 2:
            _errors.fail_value("SharpConfig.channels", "at least two", self.channels)
        step = 2 * 2 ** len(self.channels)
        words = f"multiples of {step}, one halving more than there are channels {self.channels}"
        check_multiples("SharpConfig.image_shape", self.image_shape, step, words)

    @classmethod
    def upgraded(cls, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        """What files of before say, in today's words."""
        return upgrades.without_unused(plain)

    @property
    def feature_shape(self) -> Shape:
        """(C, H, W) of the smallest maps but for a halving."""
        return halved(self.image_shape, self.channels)


@dataclass(frozen=True)
class LatentConfig:
    """What a latent transformation looks like.

    Attributes:
        model: "equivariant": rotations of latent planes, a group (`BlockRotation`). "mlp": fully connected layers that
            are told the transformation. "step": fully connected layers that know one step of rotation, applied once
            for each step. "recurrent": a gated recurrent unit, applied step by step. "transformer": attention between
            pieces of the latent vector.
        hidden: Sizes of the hidden layers of "mlp" and "step", and of the couplings of "equivariant".
        activation: What follows them, and in the layers of "transformer".
        step: Degrees of one step of "step", a divisor of 360, and the longest one of "recurrent".
        width: State of "recurrent", size of a token of "transformer".
        layers: Layers of "transformer".
        tokens: Into how many pieces "transformer" cuts the latents at most: it takes the largest number that divides
            both this one and that of the latents.
        max_frequency: The planes of "equivariant" turn 1, 0, 2, 3, ... up to so many times as fast as the image.
        couplings: Invertible layers of "equivariant" around the rotation, in pairs; 0 for latents that were trained
            together with it.
    """

    model: Literal["equivariant", "mlp", "step", "recurrent", "transformer"] = "equivariant"
    hidden: tuple[int, ...] = (256, 256, 256)
    activation: Activation = "relu"
    step: float = 30.0
    width: int = 64
    layers: int = 2
    tokens: int = 8
    max_frequency: int = 5
    couplings: int = 0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("hidden", "width", "layers", "tokens", "max_frequency"):
            _config.in_range(self, name, 1)
        _config.in_range(self, "step", 0.1, 180)
        turn = 360 / self.step
        if self.model == "step" and abs(turn - round(turn)) > _ROUNDING:
            _errors.fail_value("LatentConfig.step", "a divisor of 360 degrees", self.step)
        _config.in_range(self, "couplings", 0)
        if self.width % HEADS:
            _errors.fail_value("LatentConfig.width", f"a multiple of {HEADS}", self.width)

    @property
    def rotations_only(self) -> bool:
        """Whether scale and translation are beyond this model."""
        return self.model in ("equivariant", "step", "recurrent")
