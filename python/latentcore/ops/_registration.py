"""What every operator's registration shares."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor

from latentcore import _checks, _forks, _native
from latentcore._torch_private import below_autograd, is_legacy_batchedtensor, peek_interpreter_stack
from latentcore.ops import _transformed
from latentcore.ops._autocast import is_cast, uncast
from latentcore.ops._folds import Fold, one_by_one


def register(
    operator: str,
    *,
    fake: Callable[..., Any],
    setup_context: Callable[..., None],
    backward: Callable[..., Any],
    twin: Callable[..., Any],
    fold: Fold | None = None,
) -> Callable[..., Any]:
    """Register an operator's fake kernel and its derivative, and return what to call.

    That is the operator itself under torch.compile. In eager mode it is an autograd.Function of the same formulas: a
    derivative that is registered in Python costs twice as much per call, which matters for small batches.

    Args:
        operator: Its name. The operator takes the tensors of which there are derivatives first.
        fake: The shapes of its results.
        setup_context: Keeps what the other two need. What it saves begins with the operator's first tensors, in order.
        backward: The derivative, by native kernels.
        twin: The operator in plain torch, from the context and all that was saved. Where the derivative itself is to be
            differentiated (create_graph=True), its derivative is that of the twin's.
        fold: The rule for torch.func's vmap, one of those in `_folds` or made of them; it is the derivative's too.
            Without it the twin serves under torch.func.
    """
    if not _native.cpu_library.loaded:
        return _missing
    register_fake(operator, fake)
    transformed_derivative = _transformed.derivative_of(operator, backward, twin, fold or one_by_one)

    def derivative(ctx: Any, *grads: Any) -> Any:
        if peek_interpreter_stack() is not None and not torch.compiler.is_compiling():
            return transformed_derivative(ctx, *grads)
        _forks.check_threads()
        if not is_cast(grads):
            return uncast_derivative(ctx, *grads)
        with uncast(grads):
            return uncast_derivative(ctx, *grads)

    def uncast_derivative(ctx: Any, *grads: Any) -> Any:
        # torch's older map, by which is_grads_batched=True works, cannot call operators that return lists
        if any(grad is not None and is_legacy_batchedtensor(grad) for grad in grads):
            return _derivative_of(twin, ctx, grads, torch.is_grad_enabled())
        if not torch.is_grad_enabled():
            with below_autograd():
                return backward(ctx, *grads)
        with torch.no_grad(), below_autograd():
            values = backward(ctx, *grads)
        return _with_graph(values, _derivative_of(twin, ctx, grads, True))

    torch.library.register_autograd(f"latentcore::{operator}", derivative, setup_context=setup_context)
    overload = getattr(torch.ops.latentcore, operator).default

    def forward(ctx: Any, *inputs: Any) -> Any:
        with below_autograd():
            output = overload(*inputs)
        setup_context(ctx, inputs, output)
        return output

    # torch names a result's grad_fn after the class
    methods = {"forward": staticmethod(forward), "backward": staticmethod(derivative)}
    eager: Any = type(operator, (torch.autograd.Function,), methods)

    def call(*inputs: Any) -> Any:
        if torch.compiler.is_compiling():
            return overload(*inputs)
        if peek_interpreter_stack() is not None:
            return transformed(*inputs)
        if torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
            return eager.apply(*inputs)
        with below_autograd():
            return overload(*inputs)

    transformed = _transformed.differentiable(operator, call, transformed_derivative, setup_context, fold or one_by_one)
    if fold is not None:
        _native.FOLDED.add(operator)
    return call


def register_constant(operator: str, fake: Callable[..., Any], fold: Fold) -> Callable[..., Any]:
    """Register the fake kernel of an operator without a derivative and its rule for vmap; return what to call."""
    if not _native.cpu_library.loaded:
        return _missing
    register_fake(operator, fake)
    _native.FOLDED.add(operator)
    return _transformed.constant(getattr(torch.ops.latentcore, operator).default, fold)


def register_fake(operator: str, fake: Callable[..., Any]) -> None:
    """Register an operator's fake kernel, which refuses the sizes that the kernels refuse."""

    @functools.wraps(fake)
    def counted(*inputs: Any, **options: Any) -> Any:
        for value in (*inputs, *options.values()):
            if isinstance(value, Tensor):
                _checks.countable("an argument", value)
        output = fake(*inputs, **options)
        for value in (output,) if isinstance(output, Tensor) else output:
            _checks.countable("the result", value)
        return output

    if _native.cpu_library.loaded:
        torch.library.register_fake(f"latentcore::{operator}", counted)


def _derivative_of(
    twin: Callable[..., Any], ctx: Any, grads: Sequence[Tensor | None], create_graph: bool
) -> tuple[Tensor | None, ...]:
    """The derivative of a twin at what `ctx` has saved, made of torch's operators and so differentiable itself."""
    with torch.enable_grad():
        # views, so that each has its own part of two inputs that are one tensor, or one of which is made of the other
        saved: list[Any] = [None if tensor is None else tensor.view_as(tensor) for tensor in ctx.saved_tensors]
        results = twin(ctx, *saved)
    # results without a gradient come last, and a twin may leave them out
    pairs = zip((results,) if isinstance(results, Tensor) else results, grads, strict=False)
    reached = [(result, grad) for result, grad in pairs if grad is not None and result.requires_grad]
    wanted = [place for place, needed in enumerate(ctx.needs_input_grad) if needed]
    found = torch.autograd.grad(
        [result for result, _ in reached],
        [saved[place] for place in wanted],
        [grad for _, grad in reached],
        create_graph=create_graph,
        materialize_grads=True,
    )
    by_place = dict(zip(wanted, found, strict=True))
    return tuple(by_place.get(place) for place in range(len(ctx.needs_input_grad)))


def _with_graph(values: Sequence[Tensor | None], graphed: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """The kernel's derivative, as it is without a graph, with the graph of the twin's."""
    pairs = zip(values, graphed, strict=True)
    return tuple(other if value is None or other is None else value + _nothing(other) for value, other in pairs)


def _nothing(graphed: Tensor) -> Tensor:
    """0, with the derivative of a tensor. Not by `detach`, which one of torch's ways to map operators does not know."""
    with torch.no_grad():
        constant = graphed + 0
    return torch.where(graphed.isfinite(), graphed - constant, 0)


def _missing(*inputs: Any) -> NoReturn:
    raise RuntimeError("this operator needs the native library")


def register_backward(operator: str, fake: Callable[..., Any]) -> None:
    """Register an operator without a derivative: to ask for one is an error, not a silent constant."""

    def fail(ctx: Any, *grads: Any) -> NoReturn:
        raise RuntimeError(f"latentcore::{operator} has no derivative; the public functions have those of any order")

    if hasattr(torch.ops.latentcore, operator):
        register_fake(operator, fake)
        torch.library.register_autograd(f"latentcore::{operator}", fail)
