"""What the systems share: how a run begins, how it goes on after an interruption."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from latentcore import _config, _errors
from latentcore._files import inside, read_config, read_json
from latentcore.data.held_out import write_record
from latentcore.training.checkpoint import last_path
from latentcore.training.config import TrainConfig
from latentcore.training.folder import create_run

T = TypeVar("T")


def begin(
    system: str,
    config: Any,
    data: str,
    run_dir: str | os.PathLike[str] | None,
    source: Mapping[str, Any] | None,
    held_out: Mapping[str, Any] | None = None,
) -> Path:
    """Make a run's folder; its `config.json` knows the configuration, the data's word, and where they come from.

    What is `held_out`, where it is given, is written beside that before the first step.
    """
    about = {"data": data, "source": dict(source or {})}
    folder = create_run(system, {**_config.to_plain(config), **about}, run_dir)
    write_record(folder, held_out)
    return folder


def check_early_stop(config: TrainConfig, validated: bool, remedy: str) -> None:
    """Training ends early only where there is something to validate by; `remedy` says how to give that."""
    if config.early_stop and not validated:
        _errors.fail_value("TrainConfig.early_stop", f"0 without validation data ({remedy})", config.early_stop)


def configured(folder: Path, system: str, kind: type[T]) -> T:
    """The configuration with which the run in `folder` began.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, or of another system.
    """
    found = read_config(folder).get("system")
    if found != system:
        _errors.fail_value(str(folder), f"a run of the system {system!r}", f"one of {found!r}")
    return configuration_of(inside(folder, folder / "config.json"), kind)


def configuration_of(path: Path, kind: type[T]) -> T:
    """The configuration in a JSON file, which may be a run's `config.json`; errors as `configured`."""
    plain = read_json(path)
    return _config.from_plain(kind, {key: plain[key] for key in plain if key not in ("system", "data", "source")})


def check_same_data(folder: Path, name: str, data: str) -> None:
    """The run in `folder` began with the data of this word."""
    if read_config(folder).get("data") != data:
        _errors.fail_value(name, f"the data with which {folder} began", "others")


def rate(history: Sequence[Mapping[str, float]], unit: str = "images") -> float:
    """Examples per second over all epochs of a training."""
    examples = sum(row[f"{unit}_per_second"] * row["seconds"] for row in history)
    return examples / sum(row["seconds"] for row in history)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights that are built inside are a function of the seed; the caller's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """An interruption says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        whole = f"the last checkpoint is whole, and `--resume {folder}` goes on from it"
        # a run may begin with a training in a folder of its own
        begun = any(last_path(place).exists() for place in (folder, *folder.iterdir()))
        raise KeyboardInterrupt(whole if begun else "before the first checkpoint") from None
