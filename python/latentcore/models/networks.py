"""The encoders and decoders of all autoencoders, layer by layer."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from torch import nn

from latentcore import _config, _errors
from latentcore.models.attention import PatchAttention
from latentcore.models.residual import doubling, halving

# shapes: (N, C, H, W) images, (N, F) features, (N, L) latents

Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}
_CONVOLUTIONS = ("conv", "residual")


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


def build_encoder(config: NetworkConfig, outputs: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, outputs)."""
    layers = _before_dense(config)
    features = config.channels[0] if config.encoder == "attention" else _size(config.feature_shape)
    layers += _dense(config, (features, *config.hidden))
    return nn.Sequential(*layers, nn.Linear((features, *config.hidden)[-1], outputs))


def _before_dense(config: NetworkConfig) -> list[nn.Module]:
    """(N, C, H, W) -> (N, F)."""
    activate = ACTIVATIONS[config.activation]
    if config.encoder == "attention":
        return [
            PatchAttention(config.image_shape, config.patch, config.channels[0], len(config.channels), config.heads)
        ]
    layers: list[nn.Module] = []
    if config.encoder == "residual":
        layers = halving(config.image_shape[0], config.channels, config.blocks, activate)
    if config.encoder == "conv":
        for before, after in pairwise((config.image_shape[0], *config.channels)):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            layers += _after_layer(config, nn.BatchNorm2d(after))
    return [*layers, nn.Flatten()]


def build_decoder(config: NetworkConfig) -> nn.Sequential:
    """(N, L + classes) -> logits (N, C, H, W)."""
    sizes = (config.latent + config.classes, *config.decoder_hidden)
    layers = _dense(config, sizes)
    layers.append(nn.Linear(sizes[-1], _size(config.feature_shape)))
    if config.encoder == "conv":
        layers += _after_layer(config, nn.BatchNorm1d(_size(config.feature_shape)))
    layers.append(nn.Unflatten(1, config.feature_shape))
    if config.encoder == "conv":
        layers += _transposed(config)
    if config.encoder == "residual":
        layers += doubling(config.image_shape[0], config.channels, config.blocks, ACTIVATIONS[config.activation])
    decoder = nn.Sequential(*layers)
    if config.decoder_bias_std:
        for layer in decoder:
            if isinstance(layer, nn.BatchNorm1d):
                nn.init.normal_(layer.bias, 0.0, config.decoder_bias_std)
    return decoder


def mlp(sizes: tuple[int, ...], activation: Activation) -> nn.Sequential:
    """Fully connected layers from `sizes[0]` to `sizes[-1]`, the activation between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def _dense(config: NetworkConfig, sizes: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers.append(nn.Linear(before, after))
        layers += _after_layer(config, nn.BatchNorm1d(after))
    return layers


def _transposed(config: NetworkConfig) -> list[nn.Module]:
    layers: list[nn.Module] = []
    steps = list(pairwise((*reversed(config.channels), config.image_shape[0])))
    for before, after in steps:
        layers.append(nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1))
        layers += _after_layer(config, nn.BatchNorm2d(after))
    return layers[: -len(_after_layer(config, nn.Identity()))]  # logits are neither normalised nor activated


def _after_layer(config: NetworkConfig, normalisation: nn.Module) -> list[nn.Module]:
    activation = ACTIVATIONS[config.activation]()
    return [normalisation, activation] if config.normalisation == "batch" else [activation]


def _size(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]


assert set(ACTIVATIONS) == set(get_args(Activation))
