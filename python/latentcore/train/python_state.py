"""What Python objects hold beside the numbers in tensors: whether a call changes it, and how to put it back."""

import random
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

_PLAIN = (int, float, complex, str, bytes, bool, type(None))
# whose code keeps nothing from call to call that a result depends on
_LIBRARIES = {
    "builtins",
    "torch",
    "numpy",
    "lightning_fabric",
    "latentcore",
    "functools",
    "collections",
    "typing",
    "abc",
}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_MANY = 20_000  # objects, which to look at takes about as long as a recording


class PythonState:
    """What is reached from some objects: attributes, entries, closures, and globals that their functions name.

    Numbers within tensors are left out: a step may write them in place. Which tensor an attribute holds is looked at.

    Args:
        owners: Modules, functions, or other objects.
    """

    def __init__(self, *owners: object) -> None:
        self._held: list[tuple[object, Any]] = []
        self.complete = True  # whether all that is reached has been looked at
        seen: set[int] = set()
        waiting = list(owners)
        while waiting:
            thing = waiting.pop()
            if id(thing) in seen or _is_leaf(thing):
                continue
            if len(seen) >= _MANY:
                self.complete = False
                break
            seen.add(id(thing))
            content = _content(thing)
            self._held.append((thing, content))
            waiting += _reached(thing, content)

    def changed(self) -> str:
        """What is not as it was, in words; empty where all is."""
        for thing, before in self._held:
            now = _content(thing)
            if isinstance(before, dict):
                names = [name for name in {**before, **now} if not _same(before.get(name, _GONE), now.get(name, _GONE))]
                if names:
                    return f"{names[0]} of {_name(thing)}"
            elif not _same(before, now):
                return _name(thing)
        return ""

    def restore(self) -> None:
        """Give attributes and containers their entries again."""
        for thing, before in self._held:
            if isinstance(thing, list):
                thing[:] = before.values()
            elif isinstance(thing, dict | set):
                thing.clear()
                thing.update(before if isinstance(thing, dict) else before.values())
            elif isinstance(thing, types.CellType) and "cell_contents" in before:
                thing.cell_contents = before["cell_contents"]
            elif isinstance(thing, types.FunctionType):
                thing.__globals__.update({name: value for name, value in before.items() if name[0] != " "})
            elif hasattr(thing, "__dict__") and not isinstance(thing, type):
                vars(thing).clear()
                vars(thing).update(before)


_GONE = object()


def has_hooks(model: nn.Module) -> bool:
    """Whether somebody is to be called within a step, whatever for."""
    if _has_any_global_hook() or any(parameter._backward_hooks for parameter in model.parameters()):
        return True
    return any(getattr(layer, name, None) for layer in model.modules() for name in _HOOKS)


def _is_leaf(thing: object) -> bool:
    if isinstance(thing, (*_PLAIN, Tensor, types.ModuleType, types.BuiltinFunctionType)):
        return True
    return isinstance(thing, type | types.FunctionType) and _root(thing) in _LIBRARIES


def _root(thing: Any) -> str:
    return (getattr(thing, "__module__", None) or "builtins").partition(".")[0]


def _content(thing: Any) -> Any:
    """What it holds at this level, by name; for an iterator or generator of random numbers, where it stands."""
    if isinstance(thing, types.FunctionType):
        named = {name: thing.__globals__[name] for name in thing.__code__.co_names if name in thing.__globals__}
        return {**named, " closure": thing.__closure__, " defaults": thing.__defaults__}
    if isinstance(thing, types.CellType):
        return _cell(thing)
    if isinstance(thing, type):
        return {name: value for name, value in vars(thing).items() if name[:2] != "__"}
    if isinstance(thing, Mapping):
        return dict(thing)
    if isinstance(thing, list | tuple | set | frozenset):
        return dict(enumerate(thing))
    if reader := next((read for kind, read in _READERS.items() if isinstance(thing, kind)), None):
        return reader(thing)
    if isinstance(thing, types.MethodType):
        return {"__self__": thing.__self__, "__func__": thing.__func__}
    slots = (name for kind in type(thing).__mro__ for name in _names(getattr(kind, "__slots__", ())))
    own = {name: getattr(thing, name, None) for name in slots if name != "__dict__"} | getattr(thing, "__dict__", {})
    # `itertools.count` and its like say where they stand
    return own or (repr(thing) if isinstance(thing, Iterator) else {})


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _cell(cell: types.CellType) -> dict[str, Any]:
    try:
        return {"cell_contents": cell.cell_contents}
    except ValueError:  # an empty one
        return {}


_READERS: dict[type, Callable[[Any], Any]] = {
    random.Random: lambda thing: repr(thing.getstate()),
    np.random.Generator: lambda thing: repr(thing.bit_generator.state),
    np.random.RandomState: lambda thing: repr(thing.get_state(legacy=False)),
    np.ndarray: lambda thing: hash(thing.tobytes()),  # a large one is not kept twice
    types.GeneratorType: lambda thing: repr(thing.gi_frame and thing.gi_frame.f_locals),
}


def _reached(thing: Any, content: Any) -> list[Any]:
    found = list(content.values()) if isinstance(content, dict) else []
    # methods may name globals, and classes may count
    own = isinstance(thing, type) or _is_leaf(thing) or _root(type(thing)) in _LIBRARIES
    return found if own else [*found, *(kind for kind in type(thing).__mro__ if _root(kind) not in _LIBRARIES)]


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    return type(before) is type(now) and isinstance(before, _PLAIN) and repr(before) == repr(now)


def _name(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__
