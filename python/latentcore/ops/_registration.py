"""What every operator's registration shares."""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch._C import _AutoDispatchBelowAutograd

from latentcore import _checks, _native


def register(
    operator: str, *, fake: Callable[..., Any], setup_context: Callable[..., None], backward: Callable[..., Any]
) -> Callable[..., Any]:
    """Register an operator's fake kernel and its derivative, and return what to call.

    That is the operator itself under torch.compile. In eager mode it is an autograd.Function of the same formulas: a
    derivative that is registered in Python costs twice as much per call, which matters for small batches.
    """
    if not _native.cpu_library.loaded:
        return _missing
    register_fake(operator, fake)
    torch.library.register_autograd(f"latentcore::{operator}", backward, setup_context=setup_context)
    overload = getattr(torch.ops.latentcore, operator).default

    class Eager(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            with _AutoDispatchBelowAutograd():
                output = overload(*inputs)
            setup_context(ctx, inputs, output)
            return output

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            with _AutoDispatchBelowAutograd():
                found = backward(ctx, *grads)
            return _Once.guard(operator, found) if torch.is_grad_enabled() else found

    Eager.__name__ = Eager.__qualname__ = operator

    def call(*inputs: Any) -> Any:
        return overload(*inputs) if torch.compiler.is_compiling() else Eager.apply(*inputs)  # type: ignore[no-untyped-call]

    return call


def register_fake(operator: str, fake: Callable[..., Any]) -> None:
    """Register an operator's fake kernel, which refuses the sizes that the kernels refuse."""

    @functools.wraps(fake)
    def counted(*inputs: Any, **options: Any) -> Any:
        for value in (*inputs, *options.values()):
            if isinstance(value, torch.Tensor):
                _checks.countable("an argument", value)
        output = fake(*inputs, **options)
        for value in (output,) if isinstance(output, torch.Tensor) else output:
            _checks.countable("the result", value)
        return output

    if _native.cpu_library.loaded:
        torch.library.register_fake(f"latentcore::{operator}", counted)


class _Once(torch.autograd.Function):
    """Hands first derivatives through where a second one may be asked for, which is an error, not a silent zero."""

    @staticmethod
    def guard(operator: str, grads: Any) -> Any:
        kept = iter(_Once.apply(operator, *(g.detach().requires_grad_() for g in grads if g is not None)))  # type: ignore[no-untyped-call]
        return tuple(None if g is None else next(kept) for g in grads)

    @staticmethod
    def forward(ctx: Any, operator: str, *grads: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.operator = operator
        return tuple(grad.view_as(grad) for grad in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> NoReturn:
        raise RuntimeError(f"latentcore.{ctx.operator} is differentiable once only; there is no double backward")


def _missing(*inputs: Any) -> NoReturn:
    raise RuntimeError("this operator needs the native library")


def register_backward(operator: str, fake: Callable[..., Any]) -> None:
    """Register a backward operator; its own derivative is an error, not a silent constant."""

    def fail(ctx: Any, *grads: Any) -> NoReturn:
        raise RuntimeError(f"latentcore::{operator} is differentiable once only; there is no double backward")

    if hasattr(torch.ops.latentcore, operator):
        register_fake(operator, fake)
        torch.library.register_autograd(f"latentcore::{operator}", fail)
