"""Operators under torch.func: its levels are taken off one by one, and the native kernel runs below them all.

At a level of vmap one of the rules of `_folds` makes the mapped dimension a part of the operator's own. At a level of
grad (vjp, jacrev, ...) the operator is a node of that level's graph; its derivative is an operator too, which runs the
backward kernel and whose own derivative is that of the twin, found when somebody asks.

torch.autograd.Function with its `vmap` does the same by the same means, but costs two to three times as much per call.
"""

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from latentcore import _forks, _native
from latentcore._torch_private import (
    PEELABLE,
    CGradInterpreterPtr,
    CVmapInterpreterPtr,
    SingleLevelFunction,
    TransformType,
    add_batch_dim,
    below_autograd,
    below_topmost,
    is_wrapped,
    single_level_functions,
    topmost_level,
    unwrap_batched,
    unwrap_for_grad,
    unwrapped,
    unwrapped_if_dead,
    wrap_for_grad,
)
from latentcore.ops._autocast import uncast
from latentcore.ops._folds import Fold, Mapped

Call = Callable[..., Any]
Places = tuple[int, ...]


def is_tracked(tensor: Tensor) -> bool:
    """Whether a gradient in a tensor may be asked for, at any level: a level hides what those below it track.

    Under torch.func even where gradients are off, which is so for plain autograd alone.
    """
    if torch.compiler.is_compiling() or not _native.is_transformed():
        return tensor.requires_grad and torch.is_grad_enabled()
    if not PEELABLE:  # then nobody sees what is below a level
        return True
    while not tensor.requires_grad and is_wrapped(tensor):
        tensor = unwrapped(tensor)
    return tensor.requires_grad


def constant(below: Call, fold: Fold) -> Call:
    """A function without a derivative, called under torch.func or not; `below` is it without any level."""

    def call(*inputs: Any) -> Any:
        if torch.compiler.is_compiling() or (level := topmost_level()) is None:
            return below(*inputs)
        if level.key() == TransformType.Vmap:
            return _map(level, call, fold, inputs)
        with torch.no_grad():
            return _below_grad(level, call, inputs)

    return call


def beneath_maps(function: Call, fold: Fold) -> Call:
    """A function made of torch's operators, each of which costs more under vmap: it is called below those levels."""

    def call(*inputs: Any) -> Any:
        if torch.compiler.is_compiling() or (level := topmost_level()) is None or level.key() != TransformType.Vmap:
            return function(*inputs)
        return _map(level, call, fold, inputs)

    return call


def differentiable(operator: str, below: Call, derivative: Call, setup_context: Call, fold: Fold) -> Call:
    """An operator as it is called under torch.func; `derivative` is what `derivative_of` returns."""

    def forward(*inputs: Any) -> Any:
        return _below_node(call, inputs)

    node = _node(operator, forward, setup_context, derivative)

    def call(*inputs: Any) -> Any:
        level = topmost_level()
        if level is None:
            return below(*inputs)
        if level.key() == TransformType.Vmap:
            return _map(level, call, fold, inputs)
        return _record(level, node, call, inputs)

    return call


def derivative_of(operator: str, backward: Call, twin: Call, fold: Fold) -> Call:
    """The derivative of an operator under torch.func: the arguments' gradients, from a context and the results'.

    `backward` and `twin`, those of `register`, get a copy of the context.
    """
    first = _first_derivative(operator, backward, twin, fold)

    def derivative(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if all(grad is None for grad in grads):
            return (None,) * len(ctx.needs_input_grad)
        tensors = [_alive(tensor) for tensor in (*ctx.saved_tensors, *grads)]
        needed = tuple(ctx.needs_input_grad)
        state = SimpleNamespace(**vars(ctx), needs_input_grad=needed, saved=len(tensors) - len(grads))
        with uncast(grads):
            # forward mode, say, sees through the twin only
            found = iter(first(state, *tensors) if _native.is_peelable() else _slopes(twin, state, tensors))
        return tuple(next(found) if wanted else None for wanted in needed)

    return derivative


def _first_derivative(operator: str, backward: Call, twin: Call, fold: Fold) -> Call:
    """From a context, what was saved in it, and the results' gradients: the gradients that are needed."""

    def kernel(state: Any, *tensors: Any) -> tuple[Tensor, ...]:
        _forks.check_threads()
        saved, grads = tensors[: state.saved], tensors[state.saved :]
        with torch.no_grad(), below_autograd():
            found = backward(SimpleNamespace(**vars(state), saved_tensors=saved), *grads)
        return tuple(torch.zeros_like(saved[p]) if found[p] is None else found[p] for p in _needed(state))

    def forward(*inputs: Any) -> Any:
        return kernel(*inputs) if topmost_level() is None else _below_node(call, inputs)

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.state, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)

    def second(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        tensors = [_alive(tensor) for tensor in ctx.saved_tensors]
        places = [place for place, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        with uncast(grads):
            found = _pulled_back(lambda given: _slopes(twin, ctx.state, given), tensors, places, grads)
        by_place = dict(zip(places, found, strict=True))
        return None, *(by_place.get(place) for place in range(len(tensors)))

    node = _node(f"{operator}_derivative", forward, setup_context, second)

    def call(state: Any, *tensors: Any) -> Any:
        level = topmost_level()
        if level is None:
            recorded = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
            return node.apply(state, *tensors) if recorded else kernel(state, *tensors)
        if level.key() == TransformType.Vmap:
            return _map(level, functools.partial(call, state), fold, tensors, _needed(state))
        return _record(level, node, call, (state, *tensors))

    return call


def _map(level: Any, call: Call, fold: Fold, inputs: Sequence[Any], needed: tuple[int, ...] | None = None) -> Any:
    """An operator at a level of vmap."""
    number, size = level.level(), CVmapInterpreterPtr(level).batchSize()
    pairs = [unwrap_batched(x, number) if isinstance(x, Tensor) else (x, None) for x in inputs]
    values, dims = zip(*pairs, strict=True)
    with below_topmost():
        if all(dim is None for dim in dims):
            return call(*values)
        results, place = fold(call, Mapped(size, values, dims, needed))
    return _for_each(results, lambda result: add_batch_dim(result, place, number))


def _record(level: Any, node: Any, call: Call, inputs: Sequence[Any]) -> Any:
    """An operator at a level of grad, as a node of its graph."""
    if not torch.is_grad_enabled():
        return _below_grad(level, call, inputs)
    lift = CGradInterpreterPtr(level).lift  # what belongs to another level is a constant here
    with single_level_functions():
        return node.apply(*(lift(x) if isinstance(x, Tensor) else x for x in inputs))


def _below_node(call: Call, inputs: Sequence[Any]) -> Any:
    """What a node of the topmost level does: itself it is without a graph, but the levels below have theirs."""
    level = topmost_level()
    with torch.set_grad_enabled(CGradInterpreterPtr(level).prevGradMode()):
        return _below_grad(level, call, inputs)


def _below_grad(level: Any, call: Call, inputs: Sequence[Any]) -> Any:
    """An operator without the topmost level, which is one of grad."""
    number = level.level()
    values = [unwrap_for_grad(x, number) if isinstance(x, Tensor) else x for x in inputs]
    with below_topmost():
        results = call(*values)
    return _for_each(results, lambda result: wrap_for_grad(result, number))


def _for_each(results: Any, change: Callable[[Tensor], Tensor]) -> Any:
    return change(results) if isinstance(results, Tensor) else tuple(change(result) for result in results)


def _node(name: str, forward: Call, setup_context: Call, backward: Call) -> Any:
    """A class of nodes. Its name is what torch calls its results' grad_fn by."""
    methods = {"forward": forward, "setup_context": setup_context, "backward": backward}
    return type(name, (SingleLevelFunction,), {key: staticmethod(method) for key, method in methods.items()})


def _alive(tensor: Tensor | None) -> Tensor | None:
    """A tensor without the levels that have ended: a derivative may be asked for after the level of its operator."""
    while tensor is not None and (inner := unwrapped_if_dead(tensor)) is not tensor:
        tensor = inner
    return tensor


def _needed(state: Any) -> Places:
    return tuple(place for place, needed in enumerate(state.needs_input_grad) if needed)


def _slopes(twin: Call, state: Any, tensors: Sequence[Any]) -> tuple[Tensor, ...]:
    """The first derivative by the twin, made of torch's operators."""
    saved, grads = tensors[: state.saved], tensors[state.saved :]

    def results(given: Sequence[Any]) -> tuple[Tensor, ...]:
        found = twin(state, *given)
        # results without a gradient come last, and a twin may leave them out
        pairs = zip((found,) if isinstance(found, Tensor) else found, grads, strict=False)
        return tuple(result for result, grad in pairs if grad is not None)

    return _pulled_back(results, saved, _needed(state), [grad for grad in grads if grad is not None])


def _pulled_back(
    function: Callable[[Sequence[Any]], tuple[Tensor, ...]],
    tensors: Sequence[Any],
    places: Sequence[int],
    grads: Sequence[Tensor | None],
) -> tuple[Tensor, ...]:
    """The gradients in the tensors at these places from those in a function's results."""

    def of_chosen(*chosen: Tensor) -> tuple[Tensor, ...]:
        by_place = dict(zip(places, chosen, strict=True))
        return function([by_place.get(place, tensor) for place, tensor in enumerate(tensors)])

    values, pull = torch.func.vjp(of_chosen, *(tensors[place] for place in places))[:2]
    pairs = zip(values, grads, strict=False)
    found: tuple[Tensor, ...] = pull(tuple(torch.zeros_like(v) if grad is None else grad for v, grad in pairs))
    return found
