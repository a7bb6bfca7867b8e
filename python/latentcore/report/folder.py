"""What a run folder holds, as far as it is there: training may have been cut short, and files may be anything."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from latentcore import _errors, systems
from latentcore._files import inside, open_regular, read_bounded, read_config, read_json
from latentcore.evaluate.latents import Latents, latents_path, read_latents
from latentcore.report.tables import Row, history, short, some, table
from latentcore.systems import load_run
from latentcore.training.checkpoint import model_path
from latentcore.training.provenance import commands_of
from latentcore.training.run import Run
from latentcore.training.system import System

T = TypeVar("T")

OneRun = str | os.PathLike[str] | Run[Any]
"""The folder of a run, or the run as `load_run` opens it."""

_TOLD = ("config.json", "metrics.csv", "metrics.json")
_PICTURES = (".png", ".gif", ".jpg", ".jpeg", ".webp")
_DEEPEST = 20  # a value in a configuration: sections in sections
_MOST_TABLES = 20
_MOST_FIGURES = 300
_MOST_ENTRIES = 50  # of the commands, and of an environment
_MOST_PICTURES = 100
_MOST_MODEL = 2_000_000_000  # bytes of the weights of a run that is opened
# what an evaluation writes at most: images, pixels along their sides, latent axes of any model here
_MOST_IMAGES, _MOST_SIDE, _MOST_AXES = 2000, 32, 2048
_MOST_CLASSES = 200


@dataclass
class RunFolder:
    """The contents of a run folder.

    Attributes:
        path: The folder.
        name: What the page calls it.
        config: Content of `config.json`.
        figures: Content of `metrics.json`: numbers and words.
        history: Rows of `metrics.csv`; what is no finite number is None.
        commands: Entries of `commands.json`.
        pictures: Files of images.
        tables: Tables beside the pictures, by their files' names.
        latents: Content of `latents.npz`.
        run: The run that `load_run` opens.
        missing: What is not there or cannot be used, a sentence each.
    """

    path: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float | str] = field(default_factory=dict)
    history: list[Row] = field(default_factory=list)
    commands: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    tables: dict[str, list[dict[str, float | str]]] = field(default_factory=dict)
    latents: Latents | None = None
    run: Any = None
    missing: list[str] = field(default_factory=list)

    @property
    def system(self) -> str:
        """The name of its system."""
        return str(self.config.get("system", "unknown"))

    @cached_property
    def kind(self) -> System[Any] | None:
        """Its system, where that is known here and can be imported."""
        found, _ = systems.catalogue.available()
        return next((system for system in found if system.wrote(self.system)), None)

    @property
    def has_latents(self) -> bool:
        """Whether runs of its system give images latents."""
        return self.kind is not None and hasattr(self.kind.part("run"), "encode")

    @property
    def environment(self) -> dict[str, str]:
        """Where the first of its commands ran."""
        found = self.commands[0].get("environment") if self.commands else None
        entries = list(found.items())[:_MOST_ENTRIES] if isinstance(found, dict) else []
        return {short(key): short(value) for key, value in entries}


def read_folders(runs: OneRun | Sequence[OneRun]) -> list[RunFolder]:
    """The contents of run folders, under names that differ; of runs that are open already they are not opened again.

    Raises:
        FileNotFoundError: A path is no folder.
        ValueError: A folder holds nothing of a run, none is given, or one twice.
    """
    if isinstance(runs, str | os.PathLike | Run):
        runs = [runs]
    if not runs:
        _errors.fail_value("RUN", "at least one run folder", "none")
    paths = [run.folder if isinstance(run, Run) else Path(run) for run in runs]
    # `resolve` raises where links go round in a circle
    resolved = [Path(os.path.realpath(path)) for path in paths]
    for place, folder in enumerate(resolved):
        if folder in resolved[:place]:
            _errors.fail_value("RUN", "run folders that differ", f"{paths[place]} twice")
    names = [folder.name for folder in resolved]
    # the same name twice is told by what leads to it
    return [
        read_folder(path, name if names.count(name) == 1 else str(path), run if isinstance(run, Run) else None)
        for path, name, run in zip(paths, names, runs, strict=True)
    ]


def read_folder(path: Path, name: str, run: Run[Any] | None = None) -> RunFolder:
    """The contents of one run folder, which `run` is where it is open already; errors as `read_folders`."""
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: expected a run folder, found none")
    if not any((path / file).exists() for file in _TOLD):
        _errors.fail_value(str(path), f"a run folder, with {' or '.join(_TOLD)}", "a folder without them")
    found = RunFolder(path, name)
    found.config = _try(found, "config.json", lambda: _config(path)) or {}
    found.figures = _try(found, "metrics.json", lambda: _figures(found)) or {}
    found.history = _try(found, "metrics.csv", lambda: history(inside(path, path / "metrics.csv"), found.missing)) or []
    found.commands = _try(found, "commands.json", lambda: _commands(found)) or []
    _read_pictures(found)
    if run is not None:
        found.run = run
    elif (named := found.config.get("model")) is not None:
        python = f"write_report([load_run(folder, model={short(named)})], page)"
        found.missing.append(f"checkpoints: not opened, for the model is somebody's own; in Python {python} shows it.")
    elif found.config:
        found.run = _try(found, "checkpoints", lambda: _opened(path))
    else:
        found.missing.append("checkpoints: not opened, for it is not known what was trained.")
    found.latents = _try(found, "latents.npz", lambda: _latents(path) if found.has_latents else None)
    return found


def _try(found: RunFolder, what: str, read: Callable[[], T]) -> T | None:
    """What `read` finds, or None, of which the page says why."""
    try:
        return read()
    except FileNotFoundError:
        found.missing.append(f"{what}: {_ABSENT.get(what, 'not there')}.")
    except Exception as error:  # one file that nobody foresaw leaves the others and the other runs as they are
        found.missing.append(f"{what}: cannot be used. {short(error) or type(error).__name__}")
    return None


def _opened(folder: Path) -> Any:
    size = model_path(folder).stat().st_size
    if size > _MOST_MODEL:
        _errors.fail_value(str(model_path(folder)), f"at most {_MOST_MODEL:,} bytes in a report", f"{size:,}")
    return load_run(folder)


def _figures(found: RunFolder) -> dict[str, float | str]:
    """Of `metrics.json` the numbers and words; lists and the like are no figures."""
    content = read_json(inside(found.path, found.path / "metrics.json"))
    figures = {
        short(key): value if isinstance(value, float) else _whole(value)
        for key, value in content.items()
        if isinstance(value, int | float | str)
    }
    return dict(some(found.missing, "metrics.json", "figures", list(figures.items()), _MOST_FIGURES))


def _whole(value: int | str) -> int | str:
    """A whole number where all of its digits can be shown, otherwise words."""
    text = short(value)
    return value if isinstance(value, int) and text == str(value) else text


def _config(folder: Path) -> dict[str, Any]:
    content = read_config(folder)
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        expected = f"values nested at most {_DEEPEST} deep"
        _errors.fail_value(str(folder / "config.json"), expected, "deeper ones")
    return content


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


_ABSENT = {
    "config.json": "not there, so system and configuration are unknown",
    "metrics.json": "not there: the training has not ended",
    "metrics.csv": "not there: no epoch has ended",
    "commands.json": "not there, so commands and environment are unknown",
    "latents.npz": "not there, so there is no interactive latent space; `latentcore evaluate` writes it",
    "checkpoints": "no trained model is there, so nothing can be decoded",
}


def _commands(found: RunFolder) -> list[dict[str, Any]]:
    path = found.path / "commands.json"
    # which is opened first, for the sake of what is wrong with it
    read_bounded(inside(found.path, path))
    entries = commands_of(path)
    if not entries:
        _errors.fail_value(str(path), "the commands that worked on the run", "none that can be read")
    return some(found.missing, path.name, "commands", entries, _MOST_ENTRIES)


def _latents(folder: Path) -> Latents:
    path = inside(folder, latents_path(folder))
    open_regular(path).close()  # no pipe is waited for
    latents = read_latents(path)
    (count, axes), sides = latents.z.shape, latents.images.shape[2:]
    if count > _MOST_IMAGES or max(sides) > _MOST_SIDE or axes > _MOST_AXES:
        expected = f"at most {_MOST_IMAGES} images of {_MOST_SIDE} x {_MOST_SIDE} and {_MOST_AXES} latent axes"
        _errors.fail_value(str(path), expected, f"{count} of {sides[0]} x {sides[1]} and {axes}")
    if latents.labels is not None and len(kinds := np.unique(latents.labels)) > _MOST_CLASSES:
        _errors.fail_value(str(path), f"images of at most {_MOST_CLASSES} classes", len(kinds))
    return latents


def _read_pictures(found: RunFolder) -> None:
    folder = found.path / "pictures"
    pictures = _pictures(folder)
    if found.history:
        # the page draws these curves itself
        pictures = [file for file in pictures if file.name != "losses.png"]
    if folder.is_symlink():
        found.missing.append("pictures: a link, which is not followed.")
    elif not pictures and (found.kind is None or found.kind.draws):
        found.missing.append("pictures: none are there; `latentcore evaluate` draws them.")
    found.pictures = some(found.missing, "pictures", "files", pictures, _MOST_PICTURES)
    for file in some(found.missing, "pictures", "tables", _files(folder, (".csv",)), _MOST_TABLES):
        rows = _try(found, f"pictures/{file.name}", partial(_table, found, file))
        if rows:
            found.tables[file.name] = rows


def _pictures(folder: Path) -> list[Path]:
    """A run's pictures; of those of its epochs the first and the last, unless they are a film already."""
    pictures = _files(folder, _PICTURES)
    if any(file.name == "epochs.gif" for file in pictures) or folder.is_symlink():
        return pictures
    of_epochs = _files(folder / "epochs", _PICTURES)
    return pictures + of_epochs[:1] + of_epochs[1:][-1:]


def _files(folder: Path, kinds: Sequence[str]) -> list[Path]:
    """The plain files of a folder by name, but for hidden ones and links, which lead anywhere."""
    if folder.is_symlink():
        return []
    return sorted(
        file
        for file in folder.glob("*")
        if file.suffix.lower() in kinds and file.name[0] != "." and file.is_file() and not file.is_symlink()
    )


def _table(found: RunFolder, path: Path) -> list[dict[str, float | str]]:
    return table(inside(found.path, path), found.missing)
