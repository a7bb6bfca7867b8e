"""Configurations: frozen dataclasses that check their fields and travel through JSON unchanged."""

import math
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
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
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            _errors.fail_value(f"{name}.{key}", "a field among " + ", ".join(known), "an unknown field")
    for key, field in known.items():
        if key not in data and field.default is MISSING and field.default_factory is MISSING:
            _errors.fail_value(f"{name}.{key}", "a value", "nothing: the field is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _convert(hints[key], value, f"{name}.{key}".lstrip(".")) for key, value in data.items()})


def changed(config: T, changes: Mapping[str, str]) -> T:
    """The configuration with some fields set, as words on the command line say it.

    Args:
        config: A configuration.
        changes: Values by the names of fields, with dots for the fields of fields: ``{"vae.latent": "10"}``. Lists have
            commas (``1,28,28``), "none" is a field's None.

    Raises:
        TypeError: A value is of another type than the field.
        ValueError: A field is unknown, or a value is out of range.

    Example:
        >>> from latentcore.models.config import GANConfig
        >>> changed(GANConfig(), {"latent": "10", "channels": "8,16"}).channels
        (8, 16)
    """
    return from_plain(type(config), plain_with(config, changes), "")


def plain_with(config: Any, changes: Mapping[str, str]) -> dict[str, Any]:
    """The same as dicts, of which only the names and the kinds of the values are judged."""
    plain = to_plain(config)
    for path, text in changes.items():
        *sections, name = path.split(".")
        kind, level = type(config), plain
        for place, section in enumerate(sections):
            kind = _section_kind(_hint(kind, section, ".".join(sections[: place + 1])), path)
            level[section] = level[section] if level.get(section) is not None else {}
            level = level[section]
        level[name] = _parsed(_hint(kind, name, path), text, path)
    return plain


def flat(config: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """All fields with their values, those of fields with dots."""
    for part in fields(config):
        value = getattr(config, part.name)
        if is_dataclass(value):
            yield from flat(value, f"{before}{part.name}.")
        else:
            yield f"{before}{part.name}", value


def allowed(kind: Any, path: str) -> tuple[str, ...]:
    """The words that a field may be, with dots for the fields of fields; none where it is no choice of words."""
    *sections, name = path.split(".")
    for section in sections:
        kind = _section_kind(_hint(kind, section, path), path)
    hint = _hint(kind, name, path)
    return get_args(hint) if get_origin(hint) is Literal else ()


def _hint(kind: Any, name: str, path: str) -> Any:
    """Type of the field `name` of a dataclass."""
    hints = {part.name: hint for part in fields(kind) for hint in [get_type_hints(kind)[part.name]]}
    if name not in hints:
        before = path.removesuffix(name)
        hint = did_you_mean(path, [f"{before}{known}" for known in hints])
        _errors.fail_value(path, f"a field of {kind.__name__} ({', '.join(hints)})", f"an unknown name{hint}")
    return hints[name]


def _section_kind(kind: Any, path: str) -> Any:
    arms = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    found = next((arm for arm in arms if is_dataclass(arm)), None)
    if found is None:
        _errors.fail_value(path, "a field of a section", "one of a field that has none")
    return found


def _parsed(kind: Any, text: str, name: str) -> Any:
    """What a word on the command line stands for, as far as its type says; `from_plain` judges it."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(arm for arm in get_args(kind) if arm is not type(None))
        return None if text == "none" else _parsed(inner, text, name)
    if origin is tuple:
        entry = get_args(kind)[0]
        return [_parsed(entry, part, name) for part in text.split(",")] if text else []
    if is_dataclass(kind):
        section = next(iter(fields(kind))).name
        _errors.fail_value(name, f"one of its fields, as {name}.{section}", repr(text))
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind in (int, float):
        with suppress(ValueError):
            return int(text) if kind is int else float(text)
        _errors.fail_value(name, "a whole number" if kind is int else "a number", repr(text))
    if kind is bool:
        _errors.fail_value(name, "true or false", repr(text))
    return text


def check_types(config: Any) -> None:
    """Every field has the type that it declares; called by each configuration's `__post_init__`."""
    hints = get_type_hints(type(config))
    for field in fields(config):
        _convert(hints[field.name], getattr(config, field.name), f"{type(config).__name__}.{field.name}")


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
    if origin in (Union, types.UnionType):  # the only union in use is X | None
        inner = next(arm for arm in get_args(kind) if arm is not type(None))
        return None if value is None else _convert(inner, value, name)
    if is_dataclass(kind):
        return value if isinstance(value, kind) else from_plain(kind, value, name)  # type: ignore[arg-type]
    return _checked_scalar(kind, value, name)


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
    if kind is float and not math.isfinite(value):
        _errors.fail_value(name, "a finite number", value)
    return value
