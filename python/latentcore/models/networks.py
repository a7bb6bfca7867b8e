"""The encoders and decoders of all autoencoders, layer by layer."""

from itertools import pairwise
from typing import get_args

from torch import nn

from latentcore.models.attention import PatchAttention
from latentcore.models.config import Activation, NetworkConfig
from latentcore.models.residual import doubling, halving

# shapes: (N, C, H, W) images, (N, F) features, (N, L) latents

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
}


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
