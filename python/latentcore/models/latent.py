"""Transformations of latent vectors: what a rotation of an image does to its latents."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from latentcore import _config, _errors
from latentcore.models.equivariant import BlockRotation
from latentcore.models.networks import ACTIVATIONS, Activation, mlp

# shapes: (N, L) latents, (N, 4) parameters of the transformations: degrees, scale, pixels right, pixels down

_CONDITIONS = 5
_ROUNDING = 1e-6  # of a number of steps
_SCALE_UNIT, _PIXEL_UNIT = math.log(1.3), 4.0  # so that usual transformations are conditions of about 1


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
        if self.width % _HEADS:
            _errors.fail_value("LatentConfig.width", f"a multiple of {_HEADS}", self.width)

    @property
    def rotations_only(self) -> bool:
        """Whether scale and translation are beyond this model."""
        return self.model in ("equivariant", "step", "recurrent")


def build_operator(config: LatentConfig, latent: int) -> nn.Module:
    """The module (z (N, L), parameters (N, 4)) -> (N, L); its weights are drawn from torch's default generator.

    Example:
        >>> import torch
        >>> from latentcore.models.latent import LatentConfig, build_operator
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
            _HEADS,
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


_HEADS = 4  # of attention


def _size(told: Tensor) -> Tensor:
    """How much of a transformation it is, in [0, 1]: nothing moves latents by exactly nothing. (N, 1)."""
    size: Tensor = told.norm(dim=1, keepdim=True)
    return size.clamp(max=1)
