"""Residual convolutions of encoders and decoders."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

# shapes: (N, C, H, W) maps

Activate = Callable[[], nn.Module]


class Refine(nn.Module):
    """maps + convolutions(maps): two 3x3 convolutions, each after normalisation and activation.

    Reference:
        He, Zhang, Ren and Sun, "Identity mappings in deep residual networks", 2016.
    """

    def __init__(self, channels: int, activate: Activate) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(2):
            layers += [nn.BatchNorm2d(channels), activate(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.body = nn.Sequential(*layers)
        nn.init.zeros_(layers[-1].weight)  # type: ignore[arg-type]  # at first nothing is changed

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        refined: Tensor = maps + self.body(maps)
        return refined


def halving(image_channels: int, channels: Sequence[int], blocks: int, activate: Activate) -> list[nn.Module]:
    """Convolutions of stride 2, one for each entry of `channels`, with `blocks` residual blocks after each."""
    layers: list[nn.Module] = []
    for before, after in pairwise((image_channels, *channels)):
        layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
        layers += [Refine(after, activate) for _ in range(blocks)]
    return [*layers, nn.BatchNorm2d(channels[-1]), activate()]


def doubling(image_channels: int, channels: Sequence[int], blocks: int, activate: Activate) -> list[nn.Module]:
    """The mirror image of `halving`: transposed convolutions, residual blocks before each; the last gives logits."""
    layers: list[nn.Module] = []
    for before, after in pairwise((*reversed(channels), image_channels)):
        layers += [Refine(before, activate) for _ in range(blocks)]
        layers += [nn.BatchNorm2d(before), activate(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
    return layers
