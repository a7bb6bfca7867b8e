"""Fields of a configuration as words on the command line name and set them: ``vae.latent=10``."""

import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from latentcore import _config, _errors
from latentcore._catalogue import did_you_mean

T = TypeVar("T")


def changed(config: T, changes: Mapping[str, str]) -> T:
    """The configuration with some fields set.

    Args:
        config: A configuration.
        changes: Values by the names of fields, with dots for the fields of fields: ``{"vae.latent": "10"}``. Lists have
            commas (``1,28,28``), "none" is a field's None. They are set in this order, but the kind of a union of
            dataclasses comes before its fields; what the former kind and the new one both have stays as it was.

    Raises:
        TypeError: A value is of another type than the field.
        ValueError: A field is unknown, or a value is out of range.

    Example:
        >>> from latentcore.models.config import GANConfig
        >>> changed(GANConfig(), {"latent": "10", "channels": "8,16"}).channels
        (8, 16)
    """
    return _config.from_plain(type(config), plain_with(config, changes), "")


def plain_with(config: Any, changes: Mapping[str, str]) -> dict[str, Any]:
    """The same as dicts, of which only the names and the kinds of the values are judged."""
    plain, words = _config.to_plain(config), _kinds_first(type(config), changes)
    for path, word in words.items():
        _set(plain, type(config), path.split("."), word, path)
    return plain


def allowed(kind: Any, path: str) -> tuple[str, ...]:
    """The words that a field may be, with dots for the fields of fields; none where it is no choice of words."""
    hint = _type_of(kind, path.split("."))
    return get_args(hint) if get_origin(hint) is Literal else ()


def other_kinds(config: Any, before: str = "") -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Where a configuration has a union: its other kinds, and what fields they have beside those of the present one."""
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        if not is_dataclass(value):
            continue
        own = _hints(type(value))
        others = {kind: member for kind, member in _config.members(hint).items() if member is not type(value)}
        if others:
            yield (
                f"{before}{name}",
                {kind: [new for new in _hints(member) if new not in own] for kind, member in others.items()},
            )
        yield from other_kinds(value, f"{before}{name}.")


def _kinds_first(kind: Any, changes: Mapping[str, str]) -> dict[str, str]:
    """The changes, with the kind of a union before the fields that it brings, and always as its field `kind`."""
    named = {}
    for path, word in changes.items():
        hint = _type_of(kind, path.split("."))
        is_kind = _config.is_union(hint) and not (word == "none" and type(None) in get_args(hint))
        named[f"{path}.kind" if is_kind else path] = word
    kinds = [path for path in named if path.endswith(".kind")]
    ordered: dict[str, str] = {}
    for path in named:
        for before in [*(one for one in kinds if path.startswith(one.removesuffix("kind"))), path]:
            ordered.setdefault(before, named[before])
    return ordered


def _set(level: dict[str, Any], hint: Any, names: list[str], word: str, path: str) -> None:
    """Set a field of `level`, which is the content of a field of type `hint`, or one below it."""
    name, *below = names
    if name == "kind" and not below and _config.is_union(hint):
        _become(level, hint, word, path.removesuffix(".kind"))
        return
    known = _config.member(hint, level, path)
    there = path.removesuffix("." + ".".join(below)) if below else path
    if name not in _hints(known):
        _fail_unknown(known, name, there, hint)
    field = _hints(known)[name]
    if not below:
        level[name] = _parsed(field, word, path)
        return
    if not _config.members(field):
        _errors.fail_value(path, "a field of a section", "one of a field that has none")
    level[name] = level[name] if level.get(name) is not None else {}
    _set(level[name], field, below, word, path)


def _become(level: dict[str, Any], hint: Any, kind: str, path: str) -> None:
    """Make what is there one of another kind, with the values that it has fields for."""
    wanted = _hints(_config.member(hint, {"kind": kind}, path))
    for name in [name for name in level if name not in wanted]:
        del level[name]
    level["kind"] = kind


def _type_of(hint: Any, names: list[str]) -> Any:
    """Type of a field as far as it is the same for all kinds that may be above it; None where there is none."""
    for name in names:
        found = [_hints(member)[name] for member in _config.members(hint).values() if name in _hints(member)]
        if not found:
            return None
        hint = found[0]
    return hint


def _hints(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass and their types."""
    hints = get_type_hints(kind)
    return {part.name: hints[part.name] for part in fields(kind)}


def _fail_unknown(kind: Any, name: str, path: str, union: Any) -> NoReturn:
    before = path.removesuffix(name)
    others = [other for other, member in _config.members(union).items() if name in _hints(member)]
    hint = did_you_mean(path, list(_paths(kind, before)))
    if others:
        hint = f", which needs {before}kind={others[0]}" + (f" or {' or '.join(others[1:])}" if others[1:] else "")
    _errors.fail_value(path, f"a field of {kind.__name__} ({', '.join(_hints(kind))})", f"an unknown name{hint}")


def _paths(kind: Any, before: str) -> Iterator[str]:
    """All fields that it may have, with those of its sections."""
    for name, hint in _hints(kind).items():
        yield f"{before}{name}"
        for member in _config.members(hint).values():
            yield from _paths(member, f"{before}{name}.")


def _parsed(kind: Any, text: str, name: str) -> Any:
    """What a word stands for, as far as the type of the field says; `from_plain` judges it."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(inner for inner in get_args(kind) if inner is not type(None))
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
