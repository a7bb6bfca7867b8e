"""What a system is: all that the driver, the command line and the report know of it. Nothing heavy is imported."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from latentcore import _config, _errors, _extras
from latentcore._catalogue import did_you_mean, said
from latentcore._files import json_text
from latentcore.training.config import TrainConfig


class SystemConfig(Protocol):
    """A frozen dataclass that describes a training; its fields may be dataclasses."""

    @property
    def train(self) -> TrainConfig:
        """How it is trained."""

    @property
    def network(self) -> Any:
        """What a model is built from."""

    def for_shape(self, shape: tuple[int, ...]) -> Self:
        """The same for examples of another shape."""


C = TypeVar("C", bound=SystemConfig)

Part = str | Any
"""A class, function or object, or where it is as "package.module:name", to be imported when it is asked for."""

OpenRun = Callable[[Path], Any]
"""What opens a run folder, whatever its system: `latentcore.load_run`."""

ABOUT = ("system", "format", "model", "data", "validation", "test", "source")
"""What `config.json` of a run says beside the configuration."""


@dataclass(frozen=True)
class NoOptions:
    """A system that can be told nothing besides its configuration."""


class Command(NamedTuple):
    """A command of a system's own.

    Attributes:
        does: A line for the help, without a full stop.
        run: A function of the words behind the command's name; one of a system is handed an
            `OpenRun` too, as it may be asked about runs of others.
    """

    does: str
    run: Part


@dataclass(frozen=True)
class System(Generic[C]):
    """A kind of model with its training, what is done with it, and how it is judged.

    Attributes:
        name: As users write it.
        does: A line for the help, without a full stop.
        config: Its configuration, a `SystemConfig`.
        presets: Measured configurations by name; the first is the default.
        training: A subclass of `latentcore.training.driver.Training`.
        run: A subclass of `latentcore.training.run.Run`.
        checked: A function (configuration, examples, options), or None: whether `evaluate` will be able to work, asked
            before a training and before an evaluation; what it raises is what the user sees.
        evaluate: A function (run, examples, options, folder) -> figures; it draws pictures into `folder`/pictures.
        data: A `latentcore.data.examples.DataKind`: how what it learns from is opened, and divided.
        kind: The kind of data sets that fit, as `latentcore.data.registry.DataSet` names it.
        judged_beside_training: Whether evaluation compares with the training data too.
        options: Frozen dataclass of what else `train` and `evaluate` can be told, for example another run to compare
            with. It belongs to no configuration. A field with the metadata `{"run": True}` is given as a run folder.
        shortcuts: Options of the command line by the fields of the configuration that they set, beside those of
            every system.
        aliases: Further names under which runs of it were written once.
        upgraded: What a `config.json` of version 0.1.0 says, in today's words.
        draws: Whether `evaluate` draws pictures.
        headlines: Figures that the report shows large, the most telling first.
        captions: Words for pictures, by the names of their files, where they are others than `report.pictures` has;
            "epochs/" stands for those of single epochs.
        commands: Further commands by name.
    """

    name: str
    does: str
    config: type[C]
    presets: Mapping[str, C]
    training: Part
    run: Part
    evaluate: Part
    checked: Part = None
    data: Part = "latentcore.data.image_sets:IMAGES"
    kind: str = "images"
    judged_beside_training: bool = False
    options: type = NoOptions
    shortcuts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    upgraded: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    draws: bool = True
    headlines: tuple[str, ...] = ()
    captions: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, Command] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_line("System.name", self.name)
        check_line("System.does", self.does)
        if taken := [part.name for part in fields(self.config) if part.name in ABOUT]:  # type: ignore[arg-type]
            expected = f"fields of other names than {', '.join(ABOUT)}, which config.json has of its own"
            _errors.fail_value(self.config.__name__, expected, ", ".join(taken))
        presets = self.presets if isinstance(self.presets, Mapping) else {}
        if not presets or not all(map(is_dataclass, presets.values())):
            _errors.fail_type("System.presets", "configurations by name, one at least", repr(self.presets))
        for name, command in self.commands.items():
            if not isinstance(command, Command):
                _errors.fail_type(f"System.commands[{name!r}]", "a Command", type(command).__name__)
            check_line("the name of a command", name)
            check_line(f"Command.does of {name}", command.does)

    def part(self, name: str) -> Any:
        """What `training`, `run`, `checked`, `evaluate` or `data` stands for; errors as `resolved`."""
        return resolved(getattr(self, name), f"{name} of the system {self.name}")

    def of(self, model: Any) -> "System[Any]":
        """The same for a model of somebody's own, which may say what configuration it is trained with."""
        config = getattr(model, "configuration", None)
        return self if config is None else replace(self, config=config)

    def told(self, words: Mapping[str, Any], open_run: OpenRun) -> Any:
        """Its options; runs that are named by their folders are opened."""
        known = {part.name: part for part in fields(self.options)}
        for name in words:
            if name not in known:
                expected = f"an option of the system {self.name!r} ({', '.join(known) or 'which has none'})"
                _errors.fail_value(name, expected, f"an unknown one{did_you_mean(name, list(known))}")
        folders = [name for name in words if known[name].metadata.get("run")]
        named = [name for name in folders if isinstance(words[name], str | os.PathLike)]
        return self.options(**{**words, **{name: open_run(Path(words[name])) for name in named}})

    @property
    def preset(self) -> C:
        """The default."""
        return next(iter(self.presets.values()))

    def wrote(self, system: object) -> bool:
        """Whether this is the name of a system as its runs have it."""
        return system in (self.name, *self.aliases)

    def named(self, preset: str | None) -> C:
        """A preset; None is the default."""
        if preset is not None and preset not in self.presets:
            hint = did_you_mean(preset, self.presets)
            _errors.fail_value("preset", f"one of {', '.join(self.presets)}", f"{preset!r}{hint}")
        return self.preset if preset is None else self.presets[preset]

    def check_kept(self, config: C) -> None:
        """A run's `config.json` gives a configuration back as it is.

        Raises:
            ValueError: It cannot hold it, or something else is read there.
        """
        name = type(config).__name__
        expected = "fields that config.json can hold: bools, numbers, words, None, tuple[...] and dataclasses of these"
        try:
            again = self.read(json.loads(json_text(_config.to_plain(config))), name)
        except Exception as error:  # of types that nobody foresaw
            raise ValueError(f"{name}: expected {expected}, got {said(error)}") from error
        read = dict(_config.flat(again))
        if others := [path for path, value in _config.flat(config) if path not in read or read[path] != value]:
            _errors.fail_value(name, expected, f"others in {', '.join(others)}")

    def read(self, plain: Mapping[str, Any], name: str) -> C:
        """A configuration from a JSON file's content, which may be a run's `config.json`.

        Raises:
            TypeError: A field has the wrong type.
            ValueError: A field is unknown or out of range, or the file is of another system.
        """
        if not self.wrote(found := plain.get("system", self.name)):
            _errors.fail_value(name, f"a configuration of the system {self.name!r}", f"one of {found!r}")
        if "system" in plain and "format" not in plain and self.upgraded is not None:
            plain = self.upgraded(dict(plain))
        return _config.from_plain(self.config, {key: plain[key] for key in plain if key not in ABOUT}, name)


def resolved(part: Part, what: str) -> Any:
    """What a part of a system stands for, which messages call `what`.

    Raises:
        ImportError: It cannot be imported.
    """
    try:
        return resolve_name(part) if isinstance(part, str) else part
    except (Exception, SystemExit) as error:
        if _extras.of(error) is not None:  # who runs the command says which extra it is
            raise
        raise ImportError(f"{what}: expected {part!r} that can be imported, got {said(error)}") from error


def check_line(name: str, words: object) -> None:
    """Words that the terminal shows in a line."""
    if not isinstance(words, str) or not words or not words.isprintable():
        _errors.fail_value(name, "words in one line", repr(words))
