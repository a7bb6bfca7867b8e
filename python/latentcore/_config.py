"""Configurations: frozen dataclasses that check their fields and travel through JSON unchanged.

A field may be a union of dataclasses, such as ``MLPConfig | ConvConfig``, which their field `kind` tells apart, a word.
The first of them is meant where no kind is given; a word alone stands for the dataclass of that kind with its defaults.
A dataclass may have a class method `upgraded(plain)` that puts what earlier versions wrote into today's words.
"""

import math
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from latentcore import _errors
from latentcore._catalogue import did_you_mean

T = TypeVar("T")


class Configuration:
    """A configuration of a training or a system, as users save and load it; its subclasses are dataclasses."""

    _section: ClassVar[str] = "config"  # what messages call it

    def to_dict(self) -> dict[str, Any]:
        """As dicts, numbers and words, ready for `json.dump`."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """What `to_dict` made; an unknown, missing or wrongly typed field is an error that names it."""
        return from_plain(cls, data, cls._section)


def to_plain(config: Any) -> dict[str, Any]:
    """The configuration as dicts, lists, numbers and words, ready for `json.dump`."""
    plain: dict[str, Any] = _lists(asdict(config))
    return plain


def from_plain(kind: type[T], data: object, name: str = "config") -> T:
    """Build the dataclass `kind` from what `to_plain` made; fields that are left out take their defaults.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field is unknown, missing without a default, or out of range.
    """
    if not isinstance(data, Mapping):
        _errors.fail_type(name, "a mapping of field names to values", type(data).__name__)
    plain: Mapping[str, Any] = getattr(kind, "upgraded", lambda found: found)(data)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in plain:
        if key not in known:
            _errors.fail_value(f"{name}.{key}", "a field among " + ", ".join(known), "an unknown field")
    for key, field in known.items():
        if key not in plain and field.default is MISSING and field.default_factory is MISSING:
            _errors.fail_value(f"{name}.{key}", "a value", "nothing: the field is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _convert(hints[key], value, f"{name}.{key}".lstrip(".")) for key, value in plain.items()})


def flat(config: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """All fields with their values, those of fields with dots."""
    for part in fields(config):
        value = getattr(config, part.name)
        if is_dataclass(value):
            yield from flat(value, f"{before}{part.name}.")
        else:
            yield f"{before}{part.name}", value


def members(hint: Any) -> dict[str, Any]:
    """The dataclasses that a field of this type may hold, by their kinds; one that stands alone has the name ""."""
    found = [member for member in _parts(hint) if is_dataclass(member)]
    return {"": found[0]} if len(found) == 1 else {_kind_of(member): member for member in found}


def is_union(hint: Any) -> bool:
    """Whether a field of this type holds one of several dataclasses, which their kinds tell apart."""
    return len(members(hint)) > 1


def member(hint: Any, plain: Mapping[str, Any], name: str) -> Any:
    """The dataclass of a field of this type whose content is `plain`: that of its kind, or the first one.

    Raises:
        ValueError: There is none of the kind.
    """
    known = members(hint)
    if len(known) == 1 or "kind" not in plain:
        return next(iter(known.values()))
    kind = plain["kind"]
    if not isinstance(kind, str) or kind not in known:
        near = did_you_mean(kind, known) if isinstance(kind, str) else ""
        _errors.fail_value(f"{name}.kind", f"one of {', '.join(known)}", f"{kind!r}{near}")
    return known[kind]


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _kind_of(config: Any) -> str:
    kind = next((part.default for part in fields(config) if part.name == "kind"), None)
    assert isinstance(kind, str), f"{config.__name__} is one of a union and has no field `kind` with a default"
    return kind


def check_types(config: Any) -> None:
    """Every field has the type that it declares; called by each configuration's `__post_init__`.

    A dict, a list or the name of a kind becomes what it stands for, as in a file.
    """
    hints = get_type_hints(type(config))
    for field in fields(config):
        value = _convert(hints[field.name], getattr(config, field.name), f"{type(config).__name__}.{field.name}")
        object.__setattr__(config, field.name, value)  # it is frozen


def in_range(config: Any, field: str, low: float, high: float = math.inf) -> None:
    """The number, or every number of the tuple, lies in [low, high]."""
    value = getattr(config, field)
    for number in value if isinstance(value, tuple) else (value,):
        if not low <= number <= high:
            _errors.fail_value(f"{type(config).__name__}.{field}", f"a number in [{low:g}, {high:g}]", number)


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, tuple) else value


def _convert(kind: Any, value: Any, name: str) -> Any:
    """`value` as the type `kind`: mappings become dataclasses, lists become tuples, the rest is only checked."""
    origin = get_origin(kind)
    if origin is Literal:
        _errors.one_of(name, value, get_args(kind))
        return value
    if origin is tuple:
        return _convert_tuple(get_args(kind), value, name)
    if origin in (Union, types.UnionType):
        return _convert_union(kind, value, name)
    if is_dataclass(kind):
        return value if isinstance(value, kind) else from_plain(kind, value, name)  # type: ignore[arg-type]
    return _checked_scalar(kind, value, name)


def _convert_union(hint: Any, value: Any, name: str) -> Any:
    """Of dataclasses, or of one type and None."""
    if value is None and type(None) in get_args(hint):
        return None
    known = members(hint)
    if not is_union(hint):
        return _convert(next(inner for inner in get_args(hint) if inner is not type(None)), value, name)
    if type(value) in known.values():
        return value
    if is_dataclass(value):  # a subclass of a member is no member: a file could not tell it
        _errors.fail_type(name, f"one of {', '.join(one.__name__ for one in known.values())}", type(value).__name__)
    plain = {"kind": value} if isinstance(value, str) else value
    return from_plain(member(hint, plain if isinstance(plain, Mapping) else {}, name), plain, name)


def _convert_tuple(kinds: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list):
        _errors.fail_type(name, "a list", type(value).__name__)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        _errors.fail_value(name, f"{len(kinds)} entries", len(value))
    return tuple(
        _convert(kind, entry, f"{name}[{i}]") for i, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    )


def _checked_scalar(kind: Any, value: Any, name: str) -> Any:
    accepted = (int, float) if kind is float else kind
    # bool is an int to Python, and a configuration that says `true` for a size is a mistake
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        _errors.fail_type(name, f"{'an' if kind is int else 'a'} {kind.__name__}", type(value).__name__)
    if kind is float and not abs(value) <= sys.float_info.max:
        _errors.fail_value(name, "a finite number", value)
    return value
