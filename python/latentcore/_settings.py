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
            commas (``1,28,28``), "none" is a field's None. In a union of dataclasses the kind comes first, in whatever
            order they are given; what the former kind and the new one both have stays as it was.

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
    plain = _config.to_plain(config)
    for path in sorted(changes, key=_kinds_first):
        *sections, name = path.split(".")
        hint, level = type(config), plain
        for place, section in enumerate(sections):
            hint = _hint(_section(hint, level, path), section, ".".join(sections[: place + 1]))
            level[section] = level[section] if level.get(section) is not None else {}
            level = level[section]
        if name == "kind" and len(_config.arms(hint)) > 1:
            _become(level, hint, changes[path], path.removesuffix(".kind"))
            continue
        field = _hint(_section(hint, level, path), name, path, hint)
        if len(_config.arms(field)) > 1 and not (changes[path] == "none" and type(None) in get_args(field)):
            level[name] = level.get(name) or {}
            _become(level[name], field, changes[path], path)
        else:
            level[name] = _parsed(field, changes[path], path)
    return plain


def allowed(kind: Any, path: str) -> tuple[str, ...]:
    """The words that a field may be, with dots for the fields of fields; none where it is no choice of words."""
    *sections, name = path.split(".")
    for section in sections:
        kind = _hint(_section(kind, {}, path), section, path)
    hint = _hint(_section(kind, {}, path), name, path)
    return get_args(hint) if get_origin(hint) is Literal else ()


def other_kinds(config: Any, before: str = "") -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Where a configuration has a union: its other kinds, and what fields they have beside those of the present one."""
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        if not is_dataclass(value):
            continue
        own = _hints(type(value))
        others = {kind: arm for kind, arm in _config.arms(hint).items() if arm is not type(value)}
        if others:
            yield (
                f"{before}{name}",
                {kind: [new for new in _hints(arm) if new not in own] for kind, arm in others.items()},
            )
        yield from other_kinds(value, f"{before}{name}.")


def _kinds_first(path: str) -> tuple[int, bool]:
    """An order in which a kind is set before the fields that it brings."""
    return path.count("."), not path.endswith(".kind")


def _become(level: dict[str, Any], hint: Any, kind: str, path: str) -> None:
    """Make what is there one of another kind, with the values that it has fields for."""
    wanted = _hints(_config.arm(hint, kind, path))
    for name in [name for name in level if name not in wanted]:
        del level[name]
    level["kind"] = kind


def _section(hint: Any, level: Mapping[str, Any], path: str) -> Any:
    """The dataclass of a section, of whose type one knows no more than `hint`."""
    if not _config.arms(hint):
        _errors.fail_value(path, "a field of a section", "one of a field that has none")
    return _config.arm(hint, level.get("kind"), path)


def _hints(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass and their types."""
    hints = get_type_hints(kind)
    return {part.name: hints[part.name] for part in fields(kind)}


def _hint(kind: Any, name: str, path: str, union: Any = None) -> Any:
    """Type of the field `name` of a dataclass, which may be one of a union."""
    hints = _hints(kind)
    if name not in hints:
        _fail_unknown(kind, name, path, union)
    return hints[name]


def _fail_unknown(kind: Any, name: str, path: str, union: Any) -> NoReturn:
    before = path.removesuffix(name)
    others = [other for other, arm in _config.arms(union).items() if name in _hints(arm)]
    hint = did_you_mean(path, list(_paths(kind, before)))
    if others:
        hint = f", which needs {before}kind={others[0]}" + (f" or {' or '.join(others[1:])}" if others[1:] else "")
    _errors.fail_value(path, f"a field of {kind.__name__} ({', '.join(_hints(kind))})", f"an unknown name{hint}")


def _paths(kind: Any, before: str) -> Iterator[str]:
    """All fields that it may have, with those of its sections."""
    for name, hint in _hints(kind).items():
        yield f"{before}{name}"
        for arm in _config.arms(hint).values():
            yield from _paths(arm, f"{before}{name}.")


def _parsed(kind: Any, text: str, name: str) -> Any:
    """What a word stands for, as far as the type of the field says; `from_plain` judges it."""
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
