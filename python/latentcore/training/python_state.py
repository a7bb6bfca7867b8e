"""What Python objects hold beside the numbers in tensors: whether a call changes it, and how to put it back."""

import random
import sys
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from torch import nn

from latentcore.training.python_kinds import PLAIN, Content, Kind, Snapshot, is_leaf, is_library, kind_of, root

_MANY = 20_000  # objects, which to look at takes about as long as a recording

COMMON: tuple[Any, ...] = (random.random.__self__, np.random.random.__self__)  # type: ignore[attr-defined]
"""The generators of random numbers that belong to nobody."""


class PythonState:
    """What is reached from some objects: attributes, entries, closures, and globals that their functions name.

    Of tensors it is which memory an attribute holds, and the numbers of small ones that no operator is seen to write:
    others a step may write in place, and an optimiser.

    Args:
        owners: Modules, functions, or other objects.

    Attributes:
        unseen: Why not all that is reached could be looked at, in words; empty where all was.
    """

    def __init__(self, *owners: object) -> None:
        self._held: list[tuple[Any, Content]] = []
        self.unseen = ""
        seen: set[object] = set()
        waiting = list(owners)
        while waiting:
            thing = waiting.pop()
            key = thing.identity if isinstance(thing, Named) else id(thing)
            if is_leaf(thing) or key in seen:
                continue
            if len(seen) >= _MANY:
                self.unseen = "more objects than are looked at"
                break
            seen.add(key)
            content = _content(thing)
            if content.get(("place",), "") is None:
                self.unseen = f"where {_name(thing)} stands, which it does not say"
            self._held.append((thing, content))
            waiting += _reached(thing, content)
        self._leave_buffers_out()

    def _leave_buffers_out(self) -> None:
        """Batch normalisation writes its own without saying so."""
        modules = [thing for thing, _ in self._held if isinstance(thing, nn.Module)]
        buffers = {id(buffer) for module in modules for buffer in module.buffers(recurse=False)}
        for thing, content in self._held:
            if id(thing) in buffers and (numbers := content.get(("numbers",))):
                numbers.written = True

    def changed(self) -> str:
        """What is not as it was, in words; empty where all is."""
        for thing, before in self._held:
            if name := _difference(before, _content(thing)):
                return f"{name} of {_name(thing)}"
        return ""

    def found_to_change(self) -> str:
        """What a call has changed that a replay would not, in words; empty where that is nothing."""
        return self.changed() or self.unseen

    def restore(self) -> None:
        """Give attributes and containers their entries again, and put generators of random numbers where they were."""
        for thing, before in self._held:
            if not _difference(before, _content(thing)):
                continue
            _kind(thing).write(thing, {name[0]: value for name, value in before.items() if type(name) is tuple})
            if _has_attributes(thing):
                vars(thing).clear()
                vars(thing).update({name: value for name, value in before.items() if type(name) is str})


_GONE = object()


class Named:
    """The entries of a module that a function names, or may name as the module's attributes."""

    __slots__ = ("entries", "names", "root")

    def __init__(self, entries: dict[str, Any], names: frozenset[str], root: str) -> None:
        self.entries, self.names, self.root = entries, names, root

    @classmethod
    def by(cls, function: types.FunctionType) -> "Named":
        """The globals of a function, in its comprehensions and inner functions too."""
        return cls(function.__globals__, _names(function.__code__), root(function))

    @property
    def identity(self) -> tuple[int, int]:
        """The same for the same entries and names."""
        return id(self.entries), id(self.names)

    def reached(self) -> Iterator[Any]:
        """What they are, and entries of the modules among them; not the code of other installed packages."""
        modules = [sys.modules[name] for name in self.names - self.entries.keys() if name in sys.modules]
        for value in (*self.read().values(), *modules):
            if isinstance(value, types.ModuleType):
                yield Named(vars(value), self.names, self.root)
            elif not isinstance(value, types.FunctionType | type) or not _foreign(root(value), self.root):
                yield value

    def read(self) -> Content:
        """By name."""
        return {(name,): self.entries[name] for name in self.names if name in self.entries}

    def write(self, before: Content) -> None:
        """Put back what was read."""
        for name in self.names & self.entries.keys() - before.keys():
            del self.entries[name]
        self.entries.update(before)


def _foreign(other: str, own: str) -> bool:
    """Whether a package is an installed one, and another one than the code's that names it."""
    return other != own and "-packages" in (getattr(sys.modules.get(other), "__file__", None) or "")


@lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> frozenset[str]:
    inner = (_names(part) for part in code.co_consts if isinstance(part, types.CodeType))
    return frozenset(code.co_names).union(*inner)


_NAMED = Kind(Named.read, Named.write)


def _has_attributes(thing: Any) -> bool:
    return hasattr(thing, "__dict__") and not isinstance(thing, type | types.MethodType)


def _kind(thing: Any) -> Kind:
    return _NAMED if isinstance(thing, Named) else kind_of(thing)


def _content(thing: Any) -> Content:
    """What it holds at this level."""
    try:
        content = _kind(thing).read(thing)
        return {**content, **vars(thing)} if _has_attributes(thing) else content
    except Exception:  # another thread writes it, or it is closed: whatever it is, it is not known
        return {("place",): None}


def _difference(before: Content, now: Content) -> str:
    """The name of what is not the same; empty where all is."""
    for name in before if before.keys() == now.keys() else {**before, **now}:
        if not _same(before.get(name, _GONE), now.get(name, _GONE)):
            return str(name[0] if isinstance(name, tuple) else name)
    return ""


def _reached(thing: Any, content: Content) -> list[Any]:
    found = list(content.values())
    if isinstance(thing, Named):
        return list(thing.reached())
    if isinstance(thing, types.FunctionType):
        found.append(Named.by(thing))
    kinds = (thing if isinstance(thing, type) else type(thing)).__mro__
    return [*found, *(kind for kind in kinds if not is_library(kind))]  # which may count themselves


def _same(before: Any, now: Any) -> bool:
    if before is now:
        return True
    if isinstance(before, Snapshot) and isinstance(now, Snapshot):
        return before.same(now)
    return type(before) is type(now) and isinstance(before, PLAIN) and repr(before) == repr(now)


def _name(thing: Any) -> str:
    if isinstance(thing, Named):
        return f"a module that {thing.root} names"
    return getattr(thing, "__qualname__", None) or type(thing).__qualname__
