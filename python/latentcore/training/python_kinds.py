"""How Python objects of each kind are read, and how what was read is put back."""

import array
import gc
import io
import itertools
import logging
import pickle
import random
import sys
import types
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from latentcore._torch_private import hooks_of, version_of

PLAIN = (int, float, complex, str, bytes, bool, range, type(None))
# whose code keeps nothing from call to call that a result depends on
_LIBRARIES = {*sys.stdlib_module_names, "torch", "numpy", "lightning_fabric", "latentcore"}
_SMALL = 4096  # bytes of a tensor, or numbers of an array, which to look at takes some microseconds

Content = dict[Any, Any]
"""What an object holds at its level: attributes by name, all else by a tuple that begins with a name or key."""


class Kind(NamedTuple):
    """How to read what an object holds beside its attributes, and to write it, keys without their tuples."""

    read: Callable[[Any], Content]
    write: Callable[[Any, Content], None] = lambda thing, before: None


@dataclass
class Snapshot:
    """A state as a word that is another one for another state, and what it takes to go back to it."""

    word: object
    kept: Any = None

    def same(self, now: "Snapshot") -> bool:
        """Whether it is that state still."""
        return self.word == now.word


@dataclass
class Numbers(Snapshot):
    """Those of a tensor; any are right once an operator is seen to write them, for a replay does so too."""

    version: int = 0
    written: bool = False

    def same(self, now: Snapshot) -> bool:
        """Whether nobody has written them behind torch's back, by way of numpy for example."""
        self.written |= isinstance(now, Numbers) and now.version != self.version
        return self.written or super().same(now)


_LEAVES = (*PLAIN, Snapshot, types.ModuleType, types.CodeType, logging.Logger)


def root(thing: Any) -> str:
    """The package that an object's code, or a class, is from."""
    return str(getattr(thing, "__module__", None) or "builtins").partition(".")[0]


def is_library(code: Any) -> bool:
    """Whether a class or function is known to keep nothing."""
    return root(code) in _LIBRARIES


def is_leaf(thing: object) -> bool:
    """Whether nothing is to be looked at within."""
    return isinstance(thing, _LEAVES) or (isinstance(thing, type | types.FunctionType) and is_library(thing))


def kind_of(thing: Any) -> Kind:
    """How an object is read."""
    kind: Any = type(thing)
    return _kind_of_type(kind)


@cache
def _kind_of_type(kind: Any) -> Kind:
    if kind.__module__ in ("builtins", "itertools", "_collections") and issubclass(kind, Iterator):
        return _GENERATOR if kind is types.GeneratorType else _ITERATOR
    return next((how for kinds, how in _KINDS.items() if issubclass(kind, kinds)), _SLOTS)


@cache
def _slot_names(kind: Any) -> tuple[str, ...]:
    slotted = (vars(base) for base in kind.__mro__ if "__slots__" in vars(base))
    return tuple(name for own in slotted for name in own if isinstance(own[name], types.MemberDescriptorType))


def _read_slots(thing: Any) -> Content:
    kind: Any = type(thing)
    return {(name,): getattr(thing, name) for name in _slot_names(kind) if hasattr(thing, name)}


def _write_slots(thing: Any, before: Content) -> None:
    for name, value in before.items():
        object.__setattr__(thing, name, value)


def _numbered(values: Iterable[Any]) -> Content:
    return {(number,): value for number, value in enumerate(values)}


def _referents(thing: Any) -> Content:
    """What an object that is written in C refers to: the function of a property, the values in a cache."""
    return {("what it holds", id(value)): value for value in gc.get_referents(thing)}


def _function(thing: types.FunctionType) -> Content:
    names = ("__code__", "__closure__", "__defaults__", "__kwdefaults__")
    return {(name,): getattr(thing, name) for name in names}


def _entries_of_class(thing: type) -> Content:
    """Without those that Python makes itself."""
    made = (types.FunctionType, property, staticmethod, classmethod)
    return {(name,): value for name, value in vars(thing).items() if name[:2] != "__" or isinstance(value, made)}


def _write_class(thing: type, before: Content) -> None:
    for name, value in before.items():
        if vars(thing).get(name) is not value:
            setattr(thing, name, value)


def _cell(thing: types.CellType) -> Content:
    try:
        return {("its value",): thing.cell_contents}
    except ValueError:  # an empty one
        return {}


def _write_cell(thing: types.CellType, before: Content) -> None:
    for value in before.values():
        thing.cell_contents = value


def _frame(thing: Any) -> Content:
    """Where a generator stands, and with what."""
    if thing.gi_frame is None:
        return {("place",): "done"}
    # among the referents are its variables, and what its loops go through
    return {("place",): thing.gi_frame.f_lasti, **_referents(thing)}


def _iterator(thing: Any) -> Content:
    with warnings.catch_warnings():  # those of itertools do not say where they stand any more from Python 3.14 on
        warnings.simplefilter("ignore", DeprecationWarning)
        return {("place",): _place(thing), **_referents(thing)}


def _place(thing: Any) -> str | None:
    """Where an iterator stands, in words; None: it does not say."""
    if isinstance(thing, itertools.count | itertools.repeat):
        return repr(thing)
    if "__reduce__" not in vars(type(thing)):
        return None
    return repr([_part(part) for part in thing.__reduce__()])


def _part(thing: Any) -> Any:
    if isinstance(thing, tuple):
        return [_part(part) for part in thing]
    if isinstance(thing, list):
        return len(thing)
    if kind_of(thing) is _ITERATOR:
        return _place(thing)
    return thing if isinstance(thing, PLAIN) else None


def _file(thing: io.IOBase) -> Content:
    try:
        return {("place",): thing.tell()}
    except (OSError, ValueError):  # standard output has none, and a closed file
        return {}


def _tensor(thing: Tensor) -> Content:
    """Which memory, and who is to be called; the numbers where they are few and nobody learns them."""
    if type(thing) not in (Tensor, nn.Parameter) or thing.layout is not torch.strided:
        return {}
    memory = f"{thing.data_ptr()} {thing.dtype} {tuple(thing.shape)} {thing.stride()}"
    found = {("memory",): memory, ("requires_grad",): thing.requires_grad, ("hooks",): hooks_of(thing)}
    if type(thing) is Tensor and thing.device.type == "cpu" and thing.nbytes <= _SMALL and not thing.is_quantized:
        plain = thing.detach().resolve_conj().resolve_neg().reshape(-1)
        found["numbers",] = Numbers(plain.view(torch.uint8).numpy().tobytes(), version=version_of(thing))
    return found


def _array(thing: np.ndarray) -> Content:
    """Of a large one every so manieth number."""
    if thing.dtype == object:
        return _numbered(thing.flat)
    numbers = thing.flat[:: max(1, thing.size // _SMALL)]
    return {("numbers",): Snapshot(hash(numbers.tobytes()), numbers if thing.size == numbers.size else None)}


def _write_array(thing: np.ndarray, before: Content) -> None:
    if thing.dtype == object:
        thing.flat[:] = list(before.values())
    elif (numbers := before["numbers"].kept) is not None:
        thing.flat[:] = numbers


def _state(read: Callable[[Any], Any], write: Callable[[Any, Any], None]) -> Kind:
    """Of what says where it stands and can be put there."""

    def snapshot(thing: Any) -> Content:
        state = read(thing)
        return {("state",): Snapshot(pickle.dumps(state), state)}

    return Kind(snapshot, lambda thing, before: write(thing, before["state"].kept))


def _write_list(thing: list[Any], before: Content) -> None:
    thing[:] = before.values()


def _write_whole(thing: Any, before: Content) -> None:
    thing.clear()
    (thing.extend if isinstance(thing, deque) else thing.update)(before.values())


def _write_dict(thing: dict[Any, Any], before: Content) -> None:
    thing.clear()
    thing.update(before)


_ITERATOR, _GENERATOR, _SLOTS = Kind(_iterator), Kind(_frame), Kind(_read_slots, _write_slots)
_BUFFER = _state(lambda thing: thing[:], lambda thing, kept: thing.__setitem__(slice(None), kept))
_OPAQUE = (
    *(types.BuiltinFunctionType, types.MethodWrapperType, types.MethodType, types.MappingProxyType),
    *(partial, type(cache(len)), property, staticmethod, classmethod),
)
_KINDS: dict[type | tuple[type, ...], Kind] = {
    types.FunctionType: Kind(_function),
    types.CellType: Kind(_cell, _write_cell),
    type: Kind(_entries_of_class, _write_class),
    Tensor: Kind(_tensor),
    dict: Kind(lambda thing: {(key,): value for key, value in dict.items(thing)}, _write_dict),
    list: Kind(lambda thing: _numbered(list.__iter__(thing)), _write_list),
    (tuple, frozenset): Kind(_numbered),
    (deque, set): Kind(_numbered, _write_whole),
    _OPAQUE: Kind(_referents),
    io.IOBase: Kind(_file),
    random.Random: _state(random.Random.getstate, random.Random.setstate),
    np.random.Generator: _state(lambda g: g.bit_generator.state, lambda g, s: setattr(g.bit_generator, "state", s)),
    np.random.RandomState: _state(lambda g: g.get_state(legacy=False), np.random.RandomState.set_state),
    torch.Generator: _state(lambda g: g.get_state().numpy(), lambda g, s: g.set_state(torch.from_numpy(s))),
    np.ndarray: Kind(_array, _write_array),
    (array.array, bytearray): _BUFFER,
}
