"""What a run folder holds, as far as it is there: training may have been cut short, and files may be anything."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from latentcore import _checks
from latentcore.evaluate.latents import Latents, latents_path, read_latents
from latentcore.train.provenance import commands_of
from latentcore.train.runs import load_run, read_json

T = TypeVar("T")
Row = dict[str, float | None]

_TOLD = ("config.json", "metrics.csv", "metrics.json")
_PICTURES = (".png", ".gif", ".jpg", ".jpeg", ".webp")
_NETWORKS = ("vae", "autoencoder")  # sections of a configuration whose runs have latents of images
_DEEPEST = 20  # a value in a configuration: sections in sections
_MOST_ROWS = 200  # of a table that is shown


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

    @property
    def has_latents(self) -> bool:
        """Whether a run of this configuration gives images latents."""
        return any(self.config.get(section) is not None for section in _NETWORKS)

    @property
    def environment(self) -> dict[str, str]:
        """Where the first of its commands ran."""
        found = self.commands[0].get("environment") if self.commands else None
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def read_folders(paths: Sequence[Path]) -> list[RunFolder]:
    """The contents of run folders, under names that differ.

    Raises:
        FileNotFoundError: A path is no folder.
        ValueError: A folder holds nothing of a run, or none is given.
    """
    if not paths:
        _checks.fail_value("RUN", "at least one run folder", "none")
    names = [path.resolve().name for path in paths]
    # the same name twice is told by what leads to it
    return [
        read_folder(path, name if names.count(name) == 1 else str(path))
        for path, name in zip(paths, names, strict=True)
    ]


def read_folder(path: Path, name: str) -> RunFolder:
    """The contents of one run folder; errors as `read_folders`."""
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: expected a run folder, found none")
    if not any((path / file).exists() for file in _TOLD):
        _checks.fail_value(str(path), f"a run folder, with {' or '.join(_TOLD)}", "a folder without them")
    found = RunFolder(path, name)
    found.config = _try(found, "config.json", lambda: _config(path / "config.json")) or {}
    figures = _try(found, "metrics.json", lambda: read_json(path / "metrics.json")) or {}
    # a figure is a number or a word; lists and the like are none
    found.figures = {key: value for key, value in figures.items() if isinstance(value, int | float | str)}
    found.history = _try(found, "metrics.csv", lambda: _history(path / "metrics.csv")) or []
    found.commands = commands_of(path / "commands.json")
    if not found.commands:
        found.missing.append("commands.json: not there, so commands and environment are unknown.")
    _read_pictures(found)
    if found.has_latents:
        found.latents = _try(found, "latents.npz", lambda: read_latents(latents_path(path)))
    found.run = _try(found, "checkpoints", lambda: load_run(path))
    return found


def _try(found: RunFolder, what: str, read: Callable[[], T]) -> T | None:
    """What `read` finds, or None, of which the page says why."""
    try:
        return read()
    except FileNotFoundError:
        found.missing.append(f"{what}: {_ABSENT[what]}.")
    except (OSError, ValueError, TypeError, csv.Error, RecursionError, OverflowError) as error:
        found.missing.append(f"{what}: cannot be used. {error}")
    return None


def _config(path: Path) -> dict[str, Any]:
    content = read_json(path)
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
    if level:
        _checks.fail_value(str(path), f"values nested at most {_DEEPEST} deep", "deeper ones")
    return content


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


_ABSENT = {
    "config.json": "not there, so system and configuration are unknown",
    "metrics.json": "not there: the training has not ended",
    "metrics.csv": "not there: no epoch has ended",
    "latents.npz": "not there, so there is no interactive latent space; `latentcore evaluate` writes it",
    "checkpoints": "no trained model is there, so nothing can be decoded",
}


def _history(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{key: _number(value) for key, value in row.items() if key} for row in csv.DictReader(file)]
    if not rows:
        _checks.fail_value(str(path), "a row for each epoch", "none")
    return rows


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _read_pictures(found: RunFolder) -> None:
    folder = found.path / "pictures"
    # a link could lead out of the folder
    files = sorted(file for file in folder.glob("*") if file.is_file() and not file.is_symlink())
    found.pictures = [file for file in files if file.suffix.lower() in _PICTURES and not file.name.startswith(".")]
    if not found.pictures:
        found.missing.append("pictures: none are there; `latentcore evaluate` draws them.")
    for file in files:
        if file.suffix.lower() == ".csv":
            rows = _try(found, f"pictures/{file.name}", partial(_table, file))
            if rows:
                found.tables[file.name] = rows


def _table(path: Path) -> list[dict[str, float | str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, restkey="", restval="")
        return [
            {str(key): _cell(value) for key, value in row.items() if key}
            for row, _ in zip(rows, range(_MOST_ROWS), strict=False)
        ]


def _cell(text: Any) -> float | str:
    value = _number(text)
    return str(text) if value is None else value
