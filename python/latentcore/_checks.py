"""Checks of arguments that are tensors."""

import math
from collections.abc import Collection

import torch
from torch import Tensor

from latentcore import _errors

FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

# A process has as many addresses, and no tensor with elements has more; csrc/common/sizes.h knows the number too.
_MOST_ELEMENTS = 2**47


def tensor(name: str, value: object) -> None:
    """`value` is a tensor."""
    if not isinstance(value, Tensor):
        _errors.fail_type(name, "a torch.Tensor", type(value).__name__)


def dtype(name: str, value: Tensor, allowed: Collection[torch.dtype]) -> None:
    """`value` is a tensor of one of the dtypes."""
    tensor(name, value)
    if value.dtype not in allowed:
        _errors.fail_type(name, " or ".join(str(d).removeprefix("torch.") for d in allowed), str(value.dtype))


def floating(name: str, value: Tensor) -> None:
    """`value` is a tensor of a floating-point dtype that the operators know."""
    # calls on small batches are counted in microseconds
    if not (isinstance(value, Tensor) and value.dtype in FLOATING):
        dtype(name, value, FLOATING)


def shape(name: str, value: Tensor, expected: tuple[int | str, ...]) -> None:
    """`value` has the shape; a string stands for a size that is free, and names it in the message."""
    if value.shape == expected:  # the common case
        return
    sizes = tuple(value.shape)
    fits = len(sizes) == len(expected) and all(
        isinstance(want, str) or have == want for have, want in zip(sizes, expected, strict=True)
    )
    if not fits:
        words = ", ".join(str(size) for size in expected)
        _errors.fail_value(name, f"shape ({words}{',' if len(expected) == 1 else ''})", sizes)


def countable(name: str, value: Tensor) -> None:
    """The sizes of `value` can be multiplied; where there are no elements, a tensor may claim any sizes.

    Sizes that are not known yet, under a compiler, are the kernel's to check.
    """
    if torch.compiler.is_dynamo_compiling():
        return
    elements = value.numel()
    if type(elements) is not int or 0 < elements <= _MOST_ELEMENTS:
        return
    if math.prod(size for size in value.shape if type(size) is int and size > 0) > _MOST_ELEMENTS:
        _errors.fail_value(name, "sizes with a product of at most 2^47, leaving out 0", tuple(value.shape))


def like(name: str, value: Tensor, model_name: str, model: Tensor) -> None:
    """`value` has dtype and device of `model`."""
    tensor(name, value)
    if value.dtype != model.dtype:
        _errors.fail_type(name, f"the dtype of {model_name}, {model.dtype}", str(value.dtype))
    if value.device != model.device:
        _errors.fail_value(name, f"the device of {model_name}, {model.device}", value.device)


def expanded(name: str, value: Tensor, sizes: tuple[int, ...], model_name: str) -> Tensor:
    """`value`, repeated without a copy to the shape of what is called `model_name`."""
    missing = len(sizes) - value.dim()
    fits = missing >= 0 and all(
        have in (1, want) for have, want in zip(value.shape, sizes[max(missing, 0) :], strict=True)
    )
    if not fits:
        _errors.fail_value(name, f"a shape that broadcasts to that of {model_name}, {sizes}", tuple(value.shape))
    return value.expand(sizes)
