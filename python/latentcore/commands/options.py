"""Options of `latentcore train` and `latentcore evaluate`, made of what a system says of itself."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from latentcore import _config, _errors, _settings
from latentcore._files import read_json
from latentcore.data.examples import Where
from latentcore.terminal.parsing import Parser, add_channels_last
from latentcore.training.system import System

# of every system, by the fields that they set
SHORTCUTS = {
    "--epochs": ("train.epochs",),
    "--batch-size": ("train.batch_size",),
    "--learning-rate": ("train.learning_rate",),
    "--device": ("train.device",),
    "--precision": ("train.precision",),
    "--seed": ("train.seed",),
    "--validation": ("train.validation",),
    "--early-stop": ("train.early_stop",),
}


def add_data(parser: Parser, system: System[Any], words: str) -> None:
    """Where data lie."""
    parser.add_argument("data", nargs="*", metavar="DATA", help=words)
    parser.add_argument("--data", dest="more_data", action="append", metavar="DATA", help="the same")
    parser.add_argument("--test", nargs="+", default=(), metavar="DATA", help="other data, to judge by")
    if system.kind in ("images", "photographs"):  # these may be images too
        add_channels_last(parser)


def shortcuts(system: System[Any]) -> dict[str, tuple[str, ...]]:
    """Options by the fields of the configuration that they set."""
    return {**SHORTCUTS, **system.shortcuts}


def add_settings(parser: Parser, system: System[Any]) -> None:
    """What a configuration is made of."""
    first = next(iter(system.presets))
    known = ", ".join(system.presets)
    parser.add_argument("--preset", metavar="NAME", help=f"a measured configuration: {known} ({first})")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a file of `latentcore config`, or a config.json")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="one field of the configuration, see below"
    )
    defaults = dict(_config.flat(system.preset))
    for option, paths in shortcuts(system).items():
        shown = _plain(defaults[paths[0]]) if paths[0] in defaults else "the preset's"
        allowed = ", ".join(_settings.allowed(system.config, paths[0]))
        words = " and ".join(paths) + (f": {allowed}" if allowed else "")
        parser.add_argument(option, metavar="VALUE", help=f"{words} ({shown})")


def add_options(parser: Parser, system: System[Any]) -> None:
    """What the system can be told besides."""
    docs = _attributes(system.options)
    for part in fields(system.options):
        option = "--" + part.name.replace("_", "-")
        words = docs.get(part.name, "")
        if part.metadata.get("run"):
            parser.add_argument(option, metavar="RUN", help=words)
        elif part.type is bool or part.type == "bool":
            parser.add_argument(option, action="store_true", help=words)
        else:
            parser.add_argument(option, type=part.metadata.get("type", str), metavar="VALUE", help=words)


def options_of(system: System[Any], told: Mapping[str, Any]) -> Any:
    """The system's options; runs are opened."""
    from latentcore.systems import load_run

    names = [part.name for part in fields(system.options)]
    return system.told({name: told[name] for name in names if told[name] is not None}, load_run)


def where(told: Mapping[str, Any], options: Any) -> Where:
    """What the words say of where data lie."""
    data = (*told["data"], *(told["more_data"] or ()))
    return Where(tuple(data), tuple(told["test"]), told.get("channels_last"), options)


def changes(system: System[Any], told: Mapping[str, Any], config: Any) -> dict[str, str]:
    """Fields of a configuration and the words that they are set to.

    An option for several fields leaves out those of sections that the configuration has not, unless it has none.
    """
    settings = dict(map(_setting, told["set"]))
    found: dict[str, str] = {}
    for option, paths in shortcuts(system).items():
        value = told[option[2:].replace("-", "_")]
        if value is not None:
            there = [path for path in paths if _is_there(config, path, settings)]
            found |= dict.fromkeys(there or paths, value)
    found |= settings
    if told["config"] is None and _is_zero(found.get("train.validation", "")):
        found.setdefault("train.early_stop", "0")  # a preset's early stop has nothing to look at then
    return found


def base(system: System[Any], told: Mapping[str, Any]) -> Any:
    """The preset or the file that the words name."""
    if told["config"] is None:
        return system.named(told["preset"])
    if told["preset"] is not None:
        _errors.fail_value("--config", "no --preset beside it", repr(told["preset"]))
    plain = read_json(told["config"])
    if plain.get("model") is not None:
        _errors.fail_value(
            str(told["config"]), "a configuration of the system's own model", f"one of {plain['model']!r}"
        )
    return system.read(plain, str(told["config"]))


def configured(system: System[Any], told: Mapping[str, Any], shape: tuple[int, ...] | None = None) -> Any:
    """The configuration that the words describe; a preset follows the shape of the data, where there is one."""
    first = base(system, told)
    set_by_words = changes(system, told, first)
    if shape is None or told["config"] is not None:
        return _settings.changed(first, set_by_words)
    try:
        return _settings.changed(first.for_shape(shape), set_by_words)
    except ValueError:  # a shape may fit only what the words make of the preset
        return _settings.changed(first, set_by_words).for_shape(shape)


def configured_to_open(system: System[Any], told: Mapping[str, Any]) -> Any:
    """The same before the shape of the data is known: what fits that one need not fit the preset's own."""
    try:
        return configured(system, told)
    except ValueError:
        if told["config"] is not None or system.kind != "images":
            raise
    config = base(system, told)
    wanted = changes(system, told, config)
    _settings.plain_with(config, wanted)  # what is misspelled is said before any data are read
    for path, word in wanted.items():  # such as which classes are learned
        with suppress(ValueError):
            config = _settings.changed(config, {path: word})
    return config


def described(system: System[Any]) -> str:
    """All fields of the configuration, with the values of the first preset, and the kinds that others may be."""
    kinds = {f"{path}.kind": _others(others) for path, others in _settings.other_kinds(system.preset)}
    rows = [f"  {name} = {_plain(value)}{kinds.get(name, '')}" for name, value in _config.flat(system.preset)]
    return "\n".join([f"fields for --set, as the preset {next(iter(system.presets))} has them:", *rows])


def _others(kinds: Mapping[str, list[str]]) -> str:
    """Kinds, and what fields each of them has besides."""
    words = [f"{kind} with {', '.join(fields)}" if fields else kind for kind, fields in kinds.items()]
    return f" (or {'; '.join(words)})"


def _setting(text: str) -> tuple[str, str]:
    """A field and its value."""
    path, equals, value = text.partition("=")
    if not equals:
        _errors.fail_value("--set", "FIELD=VALUE", repr(text))
    return path, value


def _is_there(config: Any, path: str, settings: Iterable[str]) -> bool:
    """Whether the section of a field is one of the configuration, or one that other fields set up."""
    section = path.rpartition(".")[0]
    if any(section and name.startswith(f"{section}.") for name in settings):
        return True
    for name in section.split(".") if section else ():
        config = getattr(config, name, None)
    return config is not None


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:  # which is said where the field is set
        return False


def _plain(value: Any) -> str:
    """As it is written behind `--set`."""
    if isinstance(value, tuple):
        return ",".join(map(_plain, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _attributes(kind: type) -> dict[str, str]:
    """What a dataclass's docstring says of its fields."""
    found: dict[str, str] = {}
    name = ""
    for line in (kind.__doc__ or "").partition("Attributes:")[2].splitlines():
        head, colon, words = line.strip().partition(": ")
        if colon and line.startswith(" " * 8) and not line.startswith(" " * 9) and head.isidentifier():
            name, found[head] = head, words
        elif name and line.strip():
            found[name] += " " + line.strip()
    return {key: words[:1].lower() + words[1:].rstrip(".").replace("%", "%%") for key, words in found.items()}
