"""Run folders: making them."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from latentcore import _errors
from latentcore._files import FORMAT, creating, json_text, printable
from latentcore.training.provenance import note_command

_LONGEST_NAME = 100  # characters of a model's


def create_run(system: str, config: Mapping[str, Any], run_dir: str | os.PathLike[str] | None = None) -> Path:
    """Make a run's folder and write its `config.json`, and in `commands.json` what is making it.

    Args:
        system: The system's name; the first part of the folder's.
        config: The configuration, as plain data.
        run_dir: The folder; ``None`` makes ``runs/<system>-<UTC yyyymmddThhmmss>``, with a number behind it where
            that is taken.

    Raises:
        ValueError: ``run_dir`` holds a run already; nothing is ever overwritten.
    """
    folder = _new_folder(system) if run_dir is None else Path(run_dir)
    if os.path.lexists(folder / "config.json"):
        _fail_taken(folder)
    for name in ("checkpoints", "pictures", "tensorboard"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    try:
        with creating(folder / "config.json") as temporary:
            temporary.write_text(json_text({"system": system, "format": FORMAT, **config}))
    except FileExistsError:  # another process began at the same time
        _fail_taken(folder)
    note_command(folder)
    return folder


def model_of(folder: Path, about: Mapping[str, Any]) -> str | None:
    """What a run's `config.json` calls the model of somebody's own that it is of, in one line; None of ours.

    Raises:
        ValueError: It is no name.
    """
    named = about.get("model")
    if named is None:
        return None
    if not isinstance(named, str) or not named:
        _errors.fail_value(f"{folder / 'config.json'}: model", "the name of a class or a function", _short(repr(named)))
    return _short(named)


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _fail_taken(folder: Path) -> NoReturn:
    _errors.fail_value("run_dir", "a folder without a run in it", str(folder))


def _new_folder(system: str) -> Path:
    stem = Path("runs") / f"{system}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    folder, number = stem, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = stem.with_name(f"{stem.name}-{number}")
        else:
            return folder
