"""A decoder as plain data that the page's script evaluates: what the layers are, and their weights as text."""

import base64
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentcore.models.residual import Refine

# shapes: (O, I) weights of a linear layer, (O, I, k, k) of a convolution

_MOST_WEIGHTS = 1_500_000
_STEPS = 32767  # of a weight, to each side of 0


class UnsupportedError(ValueError):
    """A network that the page cannot evaluate; the message says why."""


def layers_of(network: nn.Sequential) -> list[dict[str, Any]]:
    """The layers of a network in evaluation mode, as the page's script knows them.

    Weights take two bytes each: whole numbers between -32767 and 32767, times a factor for each output.

    Args:
        network: Fully connected layers, convolutions, transposed convolutions, batch normalisation, activations and
            residual blocks.

    Returns:
        A dict for each layer, ready for JSON.

    Raises:
        UnsupportedError: There is another layer, or there are too many weights.

    Example:
        >>> layers = layers_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
        >>> [layer["kind"] for layer in layers]
        ['linear', 'relu']
    """
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > _MOST_WEIGHTS:
        raise UnsupportedError(f"the decoder has {count:,} weights, more than the {_MOST_WEIGHTS:,} a page carries")
    return [_layer(module) for module in network]


def floats(values: Any) -> str:
    """Numbers as the text of float32, row by row."""
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def _layer(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, nn.Linear):
        sizes = {"inputs": module.in_features, "outputs": module.out_features}
        return {"kind": "linear", **sizes, **_weights(module.weight, module.bias)}
    if isinstance(module, nn.ConvTranspose2d):
        return {
            "kind": "transposed",
            "extra": _one(module.output_padding),
            **_convolution(module, module.weight.transpose(0, 1)),
        }
    if isinstance(module, nn.Conv2d):
        return {"kind": "convolution", **_convolution(module, module.weight)}
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return _normalisation(module)
    if isinstance(module, nn.Unflatten):
        return {"kind": "shape", "shape": [int(size) for size in module.unflattened_size]}
    if isinstance(module, Refine):
        return {"kind": "residual", "layers": [_layer(inner) for inner in module.body]}
    return _activation(module)


def _activation(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, nn.LeakyReLU):
        return {"kind": "leaky_relu", "slope": module.negative_slope}
    if isinstance(module, nn.ELU):
        return {"kind": "elu", "slope": module.alpha}
    for kind, name in _PLAIN.items():
        if isinstance(module, kind) and getattr(module, "approximate", "none") == "none":
            return {"kind": name}
    raise UnsupportedError(f"the decoder has a layer that the page cannot evaluate: {type(module).__name__}")


_PLAIN: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.SiLU: "silu", nn.GELU: "gelu", nn.Tanh: "tanh"}


def _convolution(module: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor) -> dict[str, Any]:
    """`weight`: (O, I, k, k)."""
    plain = module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if not plain or _one(module.dilation) != 1:
        raise UnsupportedError("the decoder has a convolution with groups, dilation or another padding")
    sizes = {"inputs": module.in_channels, "outputs": module.out_channels, "kernel": _one(module.kernel_size)}
    steps = {"stride": _one(module.stride), "padding": _one(module.padding)}  # type: ignore[arg-type]
    return {**sizes, **steps, **_weights(weight, module.bias)}


def _one(sizes: tuple[int, ...]) -> int:
    """The size along both axes."""
    if len(set(sizes)) != 1:
        raise UnsupportedError("the decoder has a convolution that is not square")
    return int(sizes[0])


def _normalisation(module: nn.BatchNorm1d | nn.BatchNorm2d) -> dict[str, Any]:
    """In evaluation mode a factor and a shift for each channel."""
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedError("the decoder normalises over the batch, and a page has none")
    factor = (module.running_var.double() + module.eps).rsqrt()
    shift = -module.running_mean.double() * factor
    if module.affine:
        factor, shift = factor * module.weight.double(), shift * module.weight.double() + module.bias.double()
    return {"kind": "scale", "factor": floats(factor), "shift": floats(shift)}


def _weights(weight: Tensor, bias: Tensor | None) -> dict[str, Any]:
    rows = weight.detach().cpu().double().flatten(1).numpy()
    if not np.isfinite(rows).all():
        raise UnsupportedError("the decoder has weights that are no finite numbers")
    scale = (np.abs(rows).max(1) / _STEPS).astype("<f4")
    scale[scale == 0] = 1
    whole = np.clip(np.rint(rows / scale.astype(np.float64)[:, None]), -_STEPS, _STEPS).astype("<i2")
    offset = torch.zeros(len(rows)) if bias is None else bias
    return {"scale": floats(scale), "values": base64.b64encode(whole.tobytes()).decode(), "bias": floats(offset)}
