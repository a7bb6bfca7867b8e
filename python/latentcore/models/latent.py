"""Transformations of latent vectors: what a rotation of an image does to its latents."""

import math

import torch
from torch import Tensor, nn

from latentcore import _errors
from latentcore.models.config import HEADS, LatentConfig
from latentcore.models.equivariant import BlockRotation
from latentcore.models.networks import ACTIVATIONS, mlp

# shapes: (N, L) latents, (N, 4) parameters of the transformations: degrees, scale, pixels right, pixels down

_CONDITIONS = 5
_SCALE_UNIT, _PIXEL_UNIT = math.log(1.3), 4.0  # so that usual transformations are conditions of about 1


def build_operator(config: LatentConfig, latent: int) -> nn.Module:
    """The module (z (N, L), parameters (N, 4)) -> (N, L); its weights are drawn from torch's default generator.

    Example:
        >>> import torch
        >>> from latentcore.models.config import LatentConfig
        >>> from latentcore.models.latent import build_operator
        >>> operator = build_operator(LatentConfig(model="mlp"), latent=32)
        >>> quarter_turn = torch.tensor([[90.0, 1.0, 0.0, 0.0]])
        >>> operator(torch.randn(1, 32), quarter_turn).shape
        torch.Size([1, 32])
    """
    _errors.integer("latent", latent, 1, 2**31)
    if config.model == "equivariant":
        return BlockRotation(latent, config.max_frequency, config.couplings, config.hidden, config.activation)
    if config.model == "mlp":
        return LatentMLP(config, latent)
    if config.model == "step":
        return StepwiseMLP(config, latent)
    if config.model == "recurrent":
        return LatentRecurrent(config, latent)
    return LatentAttention(config, latent)


def conditions(parameters: Tensor) -> Tensor:
    """What a network is told of a transformation: 0 for the identity, about 1 for usual ones. (N, 5)."""
    angle, scale, right, down = parameters.unbind(1)
    radians = (angle % 360) * (math.pi / 180)
    zoom = scale.log() / _SCALE_UNIT
    return torch.stack([radians.cos() - 1, radians.sin(), zoom, right / _PIXEL_UNIT, down / _PIXEL_UNIT], dim=1)


class LatentMLP(nn.Module):
    """z + size * MLP(z, conditions), where the size of the identity is 0."""

    def __init__(self, config: LatentConfig, latent: int) -> None:
        super().__init__()
        self.network = mlp((latent + _CONDITIONS, *config.hidden, latent), config.activation)

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Transformed latents (N, L)."""
        told = conditions(parameters).to(z.dtype)
        moved: Tensor = z + _size(told) * self.network(torch.cat([z, told], dim=1))
        return moved


class StepwiseMLP(nn.Module):
    """z + MLP(z) for one step of rotation, repeated for several: it knows no other angles."""

    def __init__(self, config: LatentConfig, latent: int) -> None:
        super().__init__()
        self.step = config.step
        self.turn = round(360 / config.step)  # steps of a full turn
        self.network = mlp((latent, *config.hidden, latent), config.activation)

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Transformed latents (N, L); each angle counts as the nearest multiple of the step."""
        left = (parameters[:, :1] / self.step).round() % self.turn
        for done in range(self.turn - 1):
            z = torch.where(left > done, z + self.network(z), z)
        return z


class LatentRecurrent(nn.Module):
    """A gated recurrent unit that turns the latents step by step, the last step shorter than the others."""

    def __init__(self, config: LatentConfig, latent: int) -> None:
        super().__init__()
        self.step = config.step
        self.longest = math.ceil(360 / config.step)
        self.start = nn.Linear(latent, config.width)
        self.cell = nn.GRUCell(latent + 1, config.width)
        self.end = nn.Linear(config.width, latent)

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Transformed latents (N, L); only the rotation counts."""
        left = parameters[:, :1] % 360
        state = torch.tanh(self.start(z))
        for _ in range(self.longest):
            now = (left / self.step).clamp(0, 1).to(z.dtype)
            state = self.cell(torch.cat([z, now], dim=1), state)
            z = z + now * self.end(state)
            left = left - self.step
        return z


class LatentAttention(nn.Module):
    """A Transformer whose tokens are pieces of the latent vector, and one that tells the transformation."""

    def __init__(self, config: LatentConfig, latent: int) -> None:
        super().__init__()
        self.tokens = math.gcd(config.tokens, latent)
        self.embed = nn.Linear(latent // self.tokens, config.width)
        self.tell = nn.Linear(_CONDITIONS, config.width)
        self.place = nn.Parameter(0.02 * torch.randn(self.tokens + 1, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width,
            HEADS,
            4 * config.width,
            dropout=0.0,
            activation=ACTIVATIONS[config.activation](),
            batch_first=True,
            norm_first=True,
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.end = nn.Linear(config.width, latent // self.tokens)

    def forward(self, z: Tensor, parameters: Tensor) -> Tensor:
        """Transformed latents (N, L)."""
        told = conditions(parameters).to(z.dtype)
        first = self.tell(told).unsqueeze(1)
        pieces = self.embed(z.unflatten(1, (self.tokens, -1)))
        seen = self.encoder(torch.cat([first, pieces], dim=1) + self.place)
        moved: Tensor = z + _size(told) * self.end(seen[:, 1:]).flatten(1)
        return moved


def _size(told: Tensor) -> Tensor:
    """How much of a transformation it is, in [0, 1]: nothing moves latents by exactly nothing. (N, 1)."""
    size: Tensor = told.norm(dim=1, keepdim=True)
    return size.clamp(max=1)
