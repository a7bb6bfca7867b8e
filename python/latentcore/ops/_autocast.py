"""What torch.autocast is to operators, whose accuracy is their own: dtypes meet in the widest, nothing narrows."""

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

_P = ParamSpec("_P")
_R = TypeVar("_R")


def under_autocast(*names: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Under torch.autocast, give an operator's arguments of these names one dtype, the widest of theirs.

    A decoder's bfloat16 logits and float32 latents, or bfloat16 latents and a mixture's float32 means, meet in float32.
    Nothing within the operator is cast. The first name is that of its first argument.
    """

    def decorated(operator: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(operator)

        @functools.wraps(operator)
        def call(*args: _P.args, **options: _P.kwargs) -> _R:
            first = args[0] if args else options.get(names[0])
            if not isinstance(first, Tensor) or not _is_on(first):
                return operator(*args, **options)
            bound = signature.bind(*args, **options)
            bound.arguments.update(_alike({name: bound.arguments.get(name) for name in names}))
            with torch.autocast(first.device.type, enabled=False):
                return operator(*bound.args, **bound.kwargs)

        return call

    return decorated


def is_cast(grads: Iterable[Tensor | None]) -> bool:
    """Whether autocast is on for the device of gradients."""
    first = _first(grads)
    return first is not None and _is_on(first)


def uncast(grads: Iterable[Tensor | None]) -> AbstractContextManager[Any]:
    """No autocast for a derivative, which may be asked for where it is on."""
    first = _first(grads)
    return nullcontext() if first is None else torch.autocast(first.device.type, enabled=False)


def _first(grads: Iterable[Tensor | None]) -> Tensor | None:
    for grad in grads:
        if grad is not None:
            return grad
    return None


def _is_on(tensor: Tensor) -> bool:
    if tensor.is_cpu:  # a device's type takes five times as long to find
        return torch.is_autocast_enabled("cpu")
    # torch has no autocast for tensors without numbers
    return not tensor.is_meta and torch.is_autocast_enabled(tensor.device.type)


def _alike(arguments: dict[str, Any]) -> dict[str, Tensor]:
    """Those that are floating tensors, in the widest dtype; float16 and bfloat16 meet in float32."""
    floating = {
        name: value for name, value in arguments.items() if isinstance(value, Tensor) and value.is_floating_point()
    }
    dtypes = [value.dtype for value in floating.values()]
    if len(set(dtypes)) < 2:
        return {}
    widest = functools.reduce(torch.promote_types, dtypes)
    return {name: value.to(widest) for name, value in floating.items()}
