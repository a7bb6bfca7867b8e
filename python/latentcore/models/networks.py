"""The encoders and decoders of all autoencoders, layer by layer."""

import math
from itertools import pairwise
from typing import get_args

from torch import nn

from latentcore.models.attention import PatchAttention
from latentcore.models.config import LayeredConfig
from latentcore.models.parts import Activation, AttentionConfig, ConvConfig, NetworkConfig, ResidualConfig
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


def build_encoder(config: LayeredConfig, outputs: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, outputs)."""
    layers = _before_dense(config)
    network = config.network
    features = network.width if isinstance(network, AttentionConfig) else math.prod(config.feature_shape)
    sizes = (features, *network.hidden)
    return nn.Sequential(*layers, *_dense(network, sizes), nn.Linear(sizes[-1], outputs))


def _before_dense(config: LayeredConfig) -> list[nn.Module]:
    """(N, C, H, W) -> (N, F)."""
    network = config.network
    if isinstance(network, AttentionConfig):
        return [PatchAttention(config.image_shape, network.patch, network.width, network.layers, network.heads)]
    layers: list[nn.Module] = []
    if isinstance(network, ResidualConfig):
        activate = ACTIVATIONS[network.activation]
        layers = halving(config.image_shape[0], network.channels, network.blocks, activate)
    if isinstance(network, ConvConfig):
        for before, after in pairwise((config.image_shape[0], *network.channels)):
            layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
            layers += _after_layer(network, nn.BatchNorm2d(after))
    return [*layers, nn.Flatten()]


def build_decoder(config: LayeredConfig) -> nn.Sequential:
    """(N, L + classes) -> logits (N, C, H, W)."""
    network = config.network
    sizes = (config.latent + config.classes, *network.decoder_hidden)
    features = math.prod(config.feature_shape)
    layers = _dense(network, sizes)
    layers.append(nn.Linear(sizes[-1], features))
    if isinstance(network, ConvConfig):
        layers += _after_layer(network, nn.BatchNorm1d(features))
    layers.append(nn.Unflatten(1, config.feature_shape))
    if isinstance(network, ConvConfig):
        layers += _transposed(network, config.image_shape[0])
    if isinstance(network, ResidualConfig):
        activate = ACTIVATIONS[network.activation]
        layers += doubling(config.image_shape[0], network.channels, network.blocks, activate)
    decoder = nn.Sequential(*layers)
    if network.decoder_bias_std:
        for layer in decoder:
            if isinstance(layer, nn.BatchNorm1d):
                nn.init.normal_(layer.bias, 0.0, network.decoder_bias_std)
    return decoder


def mlp(sizes: tuple[int, ...], activation: Activation) -> nn.Sequential:
    """Fully connected layers from `sizes[0]` to `sizes[-1]`, the activation between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers[:-1])


def _dense(network: NetworkConfig, sizes: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers.append(nn.Linear(before, after))
        layers += _after_layer(network, nn.BatchNorm1d(after))
    return layers


def _transposed(network: ConvConfig, image_channels: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    steps = list(pairwise((*reversed(network.channels), image_channels)))
    for before, after in steps:
        layers.append(nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1))
        layers += _after_layer(network, nn.BatchNorm2d(after))
    return layers[: -len(_after_layer(network, nn.Identity()))]  # logits are neither normalised nor activated


def _after_layer(network: NetworkConfig, normalisation: nn.Module) -> list[nn.Module]:
    activation = ACTIVATIONS[network.activation]()
    return [normalisation, activation] if network.normalisation == "batch" else [activation]


assert set(ACTIVATIONS) == set(get_args(Activation))
