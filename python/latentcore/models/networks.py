"""The encoders and decoders that every autoencoder here shares."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from latentcore import _checks, _config

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


@dataclass(frozen=True)
class NetworkConfig:
    """What encoder and decoder of an autoencoder look like.

    Attributes:
        image_shape: (C, H, W) of one image. With ``encoder="conv"``, H and W are multiples of 2 ** len(channels).
        latent: Number of latent axes.
        encoder: "mlp": fully connected layers alone. "conv": convolutions of stride 2 before them, and transposed
            convolutions after those of the decoder.
        hidden: Sizes of the encoder's fully connected layers.
        decoder_hidden: Sizes of the decoder's.
        channels: Channels of the encoder's convolutions, first to last; the decoder mirrors them.
        activation: What follows each hidden layer.
        normalisation: "batch" normalises each hidden layer over the batch, before its activation.
        decoder_bias_std: Standard deviation of the first biases of the decoder's batch normalisation. With a
            piecewise linear activation, 1 spreads its hinges over a latent space of few axes; 0 leaves them all at
            the origin.
        likelihood: What the pixels are given the decoder's logits: "bernoulli" (cross entropy) or "gaussian" (squared
            error of the sigmoid).
    """

    image_shape: tuple[int, int, int] = (1, 28, 28)
    latent: int = 2
    encoder: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (512, 256, 128)
    decoder_hidden: tuple[int, ...] = (64, 128, 256, 512)
    channels: tuple[int, ...] = (32, 64)
    activation: Activation = "relu"
    normalisation: Literal["batch", "none"] = "none"
    decoder_bias_std: float = 0.0
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"

    def __post_init__(self) -> None:
        _config.check_types(self)
        for field in ("image_shape", "latent", "hidden", "decoder_hidden", "channels"):
            _config.in_range(self, field, 1)
        _config.in_range(self, "decoder_bias_std", 0)
        if self.encoder == "conv":
            step = 2 ** len(self.channels)
            if self.image_shape[1] % step or self.image_shape[2] % step or not self.channels:
                expected = f"height and width that are multiples of {step}, one halving for each of {self.channels}"
                _checks.fail_value(f"{type(self).__name__}.image_shape", expected, self.image_shape)

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the fully connected layers read and the decoder's make."""
        channels, height, width = self.image_shape
        if self.encoder == "mlp":
            return channels, height, width
        step = 2 ** len(self.channels)
        return self.channels[-1], height // step, width // step


class EncoderDecoder(nn.Module):
    """An encoder, a decoder, and the configuration they were built from.

    Args:
        config: Sizes and kinds of the layers. The weights are drawn from torch's default generator.
    """

    outputs_per_latent: ClassVar[int]  # numbers that the encoder gives for each latent axis
    # what the tensors of a state dict do not tell; it is saved beside them
    _words: ClassVar[tuple[str, ...]] = ("image_shape", "activation", "likelihood")

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config, self.outputs_per_latent * config.latent)
        self.decoder = build_decoder(config)

    def run_encoder(self, images: Tensor) -> Tensor:
        """The encoder's outputs (N, outputs_per_latent * L) for images (N, C, H, W), float in [0, 1]."""
        _checks.floating("images", images)
        _checks.shape("images", images, ("N", *self.config.image_shape))
        encoded: Tensor = self.encoder(images)
        return encoded

    def decode_logits(self, z: Tensor) -> Tensor:
        """Logits (N, C, H, W) of the pixels, for latents z (N, L)."""
        _checks.floating("z", z)
        _checks.shape("z", z, ("N", self.config.latent))
        logits: Tensor = self.decoder(z)
        return logits

    def decode(self, z: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1], sigmoid(logits), for latents z (N, L)."""
        return torch.sigmoid(self.decode_logits(z))

    def get_extra_state(self) -> dict[str, Any]:
        """The fields of the configuration that the shapes of the tensors leave open."""
        plain = _config.to_plain(self.config)
        return {word: plain[word] for word in self._words}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Refuse the state of a model that differs where the shapes of the tensors could not tell."""
        for word, own in self.get_extra_state().items():
            if state.get(word) != own:
                _checks.fail_value(f"state dict: {word}", f"the model's, {own!r}", repr(state.get(word)))


def build_encoder(config: NetworkConfig, outputs: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, outputs)."""
    layers: list[nn.Module] = []
    if config.encoder == "conv":
        for before, after in pairwise((config.image_shape[0], *config.channels)):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            layers += _after_layer(config, nn.BatchNorm2d(after))
    layers.append(nn.Flatten())
    layers += _dense(config, (_size(config.feature_shape), *config.hidden))
    return nn.Sequential(*layers, nn.Linear((_size(config.feature_shape), *config.hidden)[-1], outputs))


def build_decoder(config: NetworkConfig) -> nn.Sequential:
    """(N, L) -> logits (N, C, H, W)."""
    sizes = (config.latent, *config.decoder_hidden)
    layers = _dense(config, sizes)
    layers.append(nn.Linear(sizes[-1], _size(config.feature_shape)))
    if config.encoder == "conv":
        layers += _after_layer(config, nn.BatchNorm1d(_size(config.feature_shape)))
    layers.append(nn.Unflatten(1, config.feature_shape))
    if config.encoder == "conv":
        layers += _transposed(config)
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
