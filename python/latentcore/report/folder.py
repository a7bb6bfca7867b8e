"""What a run folder holds, as far as it is there: training may have been cut short, and files may be anything."""

import csv
import math
import os
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
_MOST_BYTES = 16_000_000  # of a file of figures or words
_MOST_PICTURES = 100


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
        ValueError: A folder holds nothing of a run, none is given, or one twice.
    """
    if not paths:
        _checks.fail_value("RUN", "at least one run folder", "none")
    resolved = [_real(path) for path in paths]
    for place, folder in enumerate(resolved):
        if folder in resolved[:place]:
            _checks.fail_value("RUN", "run folders that differ", f"{paths[place]} twice")
    names = [folder.name for folder in resolved]
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
    found.config = _try(found, "config.json", lambda: _config(_own(path, "config.json"))) or {}
    figures = _try(found, "metrics.json", lambda: read_json(_own(path, "metrics.json"))) or {}
    # a figure is a number or a word; lists and the like are none
    found.figures = {key: value for key, value in figures.items() if isinstance(value, int | float | str)}
    found.history = _try(found, "metrics.csv", lambda: _history(found, _own(path, "metrics.csv"))) or []
    found.commands = _try(found, "commands.json", lambda: _commands(_own(path, "commands.json"))) or []
    _read_pictures(found)
    if found.has_latents:
        found.latents = _try(found, "latents.npz", lambda: read_latents(_own(path, latents_path(path).name)))
    if found.config:
        found.run = _try(found, "checkpoints", lambda: load_run(path))
    else:
        found.missing.append("checkpoints: not opened, for it is not known what was trained.")
    return found


def _own(folder: Path, name: str) -> Path:
    """A plain file of a run's folder: none that a link leads out to, and none beyond all measure."""
    path = folder / name
    if not _real(path).is_relative_to(_real(folder)):
        _checks.fail_value(str(path), "a file in the run's folder", "a link that leads out of it")
    size = path.stat().st_size
    if not path.is_file() or size > _MOST_BYTES:
        found = f"one of {size:,}" if path.is_file() else "something else"
        _checks.fail_value(str(path), f"a file of at most {_MOST_BYTES:,} bytes", found)
    return path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # `resolve` raises where links go round in a circle


def _try(found: RunFolder, what: str, read: Callable[[], T]) -> T | None:
    """What `read` finds, or None, of which the page says why."""
    try:
        return read()
    except FileNotFoundError:
        found.missing.append(f"{what}: {_ABSENT.get(what, 'not there')}.")
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
    "commands.json": "not there, so commands and environment are unknown",
    "latents.npz": "not there, so there is no interactive latent space; `latentcore evaluate` writes it",
    "checkpoints": "no trained model is there, so nothing can be decoded",
}


def _commands(path: Path) -> list[dict[str, Any]]:
    entries = commands_of(path)
    if not entries:
        _checks.fail_value(str(path), "the commands that worked on the run", "none that can be read")
    return entries


def _history(found: RunFolder, path: Path) -> list[Row]:
    text = path.read_bytes().decode()
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):
        # the first digits of a number are another number
        lines.pop()
        found.missing.append("metrics.csv: the last line is cut short and left out.")
    rows = [{key: _number(value) for key, value in row.items() if key} for row in csv.DictReader(lines)]
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
    pictures = _pictures(folder)
    if found.history:
        # the page draws these curves itself
        pictures = [file for file in pictures if file.name != "losses.png"]
    if folder.is_symlink():
        found.missing.append("pictures: a link, which is not followed.")
    elif not pictures and found.system != "classifier":  # which has none
        found.missing.append("pictures: none are there; `latentcore evaluate` draws them.")
    if len(pictures) > _MOST_PICTURES:
        found.missing.append(f"pictures: {len(pictures):,} are there, of which the page has {_MOST_PICTURES}.")
    found.pictures = pictures[:_MOST_PICTURES]
    for file in _files(folder, (".csv",)):
        rows = _try(found, f"pictures/{file.name}", partial(_table, folder, file.name))
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


def _table(folder: Path, name: str) -> list[dict[str, float | str]]:
    with _own(folder, name).open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, restkey="", restval="")
        return [
            {str(key): _cell(value) for key, value in row.items() if key}
            for row, _ in zip(rows, range(_MOST_ROWS), strict=False)
        ]


def _cell(text: Any) -> float | str:
    value = _number(text)
    return str(text) if value is None else value
