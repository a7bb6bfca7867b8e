"""Configurations of all models: frozen dataclasses that travel through JSON unchanged. Without torch."""

from dataclasses import dataclass, fields
from typing import Literal

from latentcore import _config, _errors

Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"]
_CONVOLUTIONS = ("conv", "residual")
_CHANNELS = (64, 128, 256, 512)
# what a plain VAE may have, and this one has not
_NOT_USED = ("classes", "encoder", "hidden", "decoder_hidden", "patch", "heads", "normalisation", "decoder_bias_std")
_ROUNDING = 1e-6  # of a number of steps
HEADS = 4  # of attention


@dataclass(frozen=True)
class NetworkConfig:
    """What encoder and decoder of an autoencoder look like.

    Attributes:
        image_shape: (C, H, W) of one image. Where there are convolutions, H and W are multiples of 2 ** len(channels).
        latent: Number of latent axes.
        classes: Classes that encoder and decoder are told, as one-hot vectors; 0 tells them nothing.
        encoder: "mlp": fully connected layers alone. "conv": convolutions of stride 2 before them, and transposed
            convolutions after those of the decoder. "residual": the same with residual blocks between, always
            normalised. "attention": patches that look at each other before them; the decoder is that of "mlp".
        hidden: Sizes of the encoder's fully connected layers.
        decoder_hidden: Sizes of the decoder's.
        channels: Channels of the encoder's convolutions, first to last; the decoder mirrors them. Of "attention" the
            width of the patches' vectors, once for each layer.
        blocks: Residual blocks after each convolution of "residual".
        patch: Pixels along a patch of "attention"; H and W are multiples of it.
        heads: Attention heads, of which the width is a multiple.
        activation: What follows each hidden layer.
        normalisation: "batch" normalises each hidden layer over the batch, before its activation.
        decoder_bias_std: Standard deviation of the first biases of the decoder's batch normalisation. With a
            piecewise linear activation, 1 spreads its hinges over a latent space of few axes; 0 leaves them all at
            the origin.
        likelihood: What the pixels are given the decoder's logits: "bernoulli" (cross entropy) or "gaussian" (squared
            error of the sigmoid).
        noise: Standard deviation of the normal noise that is added to images while training, whose clean ones are to be
            drawn; the sum is cut off at 0 and 1.
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)
    latent: int = 2
    classes: int = 0
    encoder: Literal["mlp", "conv", "residual", "attention"] = "mlp"
    hidden: tuple[int, ...] = (512, 256, 128)
    decoder_hidden: tuple[int, ...] = (64, 128, 256, 512)
    channels: tuple[int, ...] = (32, 64)
    blocks: int = 1
    patch: int = 7
    heads: int = 4
    activation: Activation = "relu"
    normalisation: Literal["batch", "none"] = "none"
    decoder_bias_std: float = 0.0
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    noise: float = 0.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for field in ("image_shape", "latent", "hidden", "decoder_hidden", "channels", "patch", "heads"):
            _config.in_range(self, field, 1)
        for field in ("classes", "blocks", "decoder_bias_std", "noise"):
            _config.in_range(self, field, 0)
        if self.decoder_bias_std and self.normalisation == "none":
            expected = "0 without normalisation, whose biases it is of"
            _errors.fail_value(f"{type(self).__name__}.decoder_bias_std", expected, self.decoder_bias_std)
        if self.encoder != "mlp" and not self.channels:
            _errors.fail_value(f"{type(self).__name__}.channels", f"at least one for {self.encoder!r}", self.channels)
        if self.encoder in _CONVOLUTIONS:
            step = 2 ** len(self.channels)
            self._check_multiples(step, f"multiples of {step}, one halving for each of {self.channels}")
        if self.encoder == "attention":
            self._check_multiples(self.patch, f"multiples of the patches' {self.patch}")
            if len(set(self.channels)) > 1 or self.channels[0] % self.heads:
                expected = f"the same multiple of {self.heads} heads for each layer"
                _errors.fail_value(f"{type(self).__name__}.channels", expected, self.channels)

    def _check_multiples(self, step: int, words: str) -> None:
        if self.image_shape[1] % step or self.image_shape[2] % step:
            _errors.fail_value(
                f"{type(self).__name__}.image_shape", f"height and width that are {words}", self.image_shape
            )

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the decoder's fully connected layers make; the encoder's read as much of convolutions."""
        channels, height, width = self.image_shape
        if self.encoder not in _CONVOLUTIONS:
            return channels, height, width
        step = 2 ** len(self.channels)
        return self.channels[-1], height // step, width // step


@dataclass(frozen=True)
class VAEConfig(NetworkConfig):
    """Configuration of a `VAE`."""


@dataclass(frozen=True)
class AutoencoderConfig(NetworkConfig):
    """Configuration of an `Autoencoder`."""


@dataclass(frozen=True)
class GANConfig:
    """What a `GAN` looks like.

    Attributes:
        image_shape: (C, H, W) of one image; H and W are multiples of 2 ** len(channels).
        latent: Number of latent axes, L.
        channels: Channels of the discriminator's convolutions, first to last; the generator mirrors them.
        hidden: Size of the fully connected layer between the discriminator's convolutions and its answer.
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)
    latent: int = 64
    channels: tuple[int, ...] = (64, 128)
    hidden: int = 256

    def __post_init__(self) -> None:
        _config.check_types(self)
        for field in ("image_shape", "latent", "channels", "hidden"):
            _config.in_range(self, field, 1)
        if not self.channels:
            _errors.fail_value("GANConfig.channels", "at least one", self.channels)
        step = 2 ** len(self.channels)
        if self.image_shape[1] % step or self.image_shape[2] % step:
            expected = f"height and width that are multiples of {step}, one halving for each of {self.channels}"
            _errors.fail_value("GANConfig.image_shape", expected, self.image_shape)

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the smallest maps, between convolutions and fully connected layers."""
        step = 2 ** len(self.channels)
        return self.channels[-1], self.image_shape[1] // step, self.image_shape[2] // step


@dataclass(frozen=True)
class ResNetConfig:
    """What a `ResNet15` looks like.

    Attributes:
        image_shape: (C, H, W) of one image.
        classes: Number of classes, K.
        width: Multiplier of the channels 64, 128, 256 and 512 of the four blocks.
        dropout: Probability with which a feature is dropped before the last layer.
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    width: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for field in ("image_shape", "classes"):
            _config.in_range(self, field, 1)
        _config.in_range(self, "width", 1 / 64, 16)
        _config.in_range(self, "dropout", 0, 0.99)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of the four blocks."""
        return tuple(max(1, round(self.width * channels)) for channels in _CHANNELS)


@dataclass(frozen=True)
class SharpConfig(VAEConfig):
    """Configuration of a `SharpVAE`: that of a residual VAE with other defaults.

    Attributes:
        channels: Of the encoder at a quarter of the image's size, an eighth, and so on, two at least; the decoder
            mirrors them up to a quarter. H and W are multiples of 2 ** (len(channels) + 1).
        refinements: Residual blocks at a quarter of the image's size that work on what is drawn.
    """

    image_shape: tuple[int, int, int] = (3, 64, 64)
    latent: int = 64
    encoder: Literal["mlp", "conv", "residual", "attention"] = "residual"
    hidden: tuple[int, ...] = ()
    decoder_hidden: tuple[int, ...] = ()
    channels: tuple[int, ...] = (64, 128, 128)
    activation: Activation = "leaky_relu"
    likelihood: Literal["bernoulli", "gaussian"] = "gaussian"
    refinements: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _config.in_range(self, "refinements", 0)
        for part in fields(self):
            if part.name in _NOT_USED and getattr(self, part.name) != part.default:
                _errors.fail_value(
                    f"SharpConfig.{part.name}", f"{part.default!r}, the only choice", getattr(self, part.name)
                )
        if len(self.channels) < 2:
            _errors.fail_value("SharpConfig.channels", "at least two", self.channels)
        step = 2 * 2 ** len(self.channels)
        if self.image_shape[1] % step or self.image_shape[2] % step:
            words = f"height and width that are multiples of {step}"
            _errors.fail_value("SharpConfig.image_shape", words, self.image_shape)


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
        for field in ("hidden", "width", "layers", "tokens", "max_frequency"):
            _config.in_range(self, field, 1)
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
