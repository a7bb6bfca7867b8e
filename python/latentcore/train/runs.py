"""Run folders: making them, and opening what was trained in them."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from latentcore import _checks
from latentcore._files import replacing
from latentcore._tensors import load_tensors
from latentcore.models.files import load_state
from latentcore.train.checkpoint import model_path
from latentcore.train.provenance import note_command

M = TypeVar("M", bound=nn.Module)


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
    if (folder / "config.json").exists():
        _checks.fail_value("run_dir", "a folder without a run in it", str(folder))
    for name in ("checkpoints", "pictures", "tensorboard"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"system": system, **config})
    note_command(folder)
    return folder


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        _checks.fail_value(str(path), "a JSON file", str(error))
    if not isinstance(content, dict):
        _checks.fail_value(str(path), "a JSON object", type(content).__name__)
    return content


class Run(ABC):
    """A trained system: what its run folder holds, ready for use on the CPU.

    Attributes:
        folder: The run folder.
        config: Content of `config.json`.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config

    @classmethod
    @abstractmethod
    def open(cls, folder: Path, config: dict[str, Any]) -> Self:
        """The run in `folder`, whose configuration is read already."""

    @property
    def metrics(self) -> dict[str, Any]:
        """Final figures, from `metrics.json`."""
        return read_json(self.folder / "metrics.json")

    def classify(self, images: Any) -> Tensor:
        """Labels (N,) of images; a system without a classifier raises TypeError."""
        raise TypeError(f"classify: the system {self.config['system']!r} of {self.folder} does not classify")


def load_run(folder: str | os.PathLike[str]) -> Any:
    """Open a run folder.

    Args:
        folder: A folder that training made, with `config.json` and `checkpoints/`.

    Returns:
        The run, with ``encode(images)``, ``decode(z)``, ``sample(n)``, ``classify(images)``, ``predict_proba(images)``
        and ``transform(z, angle)`` as the system has them.

    Raises:
        FileNotFoundError: The folder or a file of it is missing.
        ValueError: A file is damaged, holds code, or is of another model.

    Example:
        >>> run = latentcore.load_run("runs/digits148-20260101T120000")  # doctest: +SKIP
        >>> run.decode(run.encode(images)).shape  # doctest: +SKIP
        torch.Size([10, 1, 28, 28])
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if not isinstance(config.get("system"), str):
        _checks.fail_value(str(folder / "config.json"), "the name of a system under 'system'", config.get("system"))
    return _kind_of(config["system"]).open(folder, config)


def load_checkpoint(folder: Path, build: Callable[[], M]) -> M:
    """The model that `build` makes, with the weights of the folder's `checkpoints/model.pth`."""
    path = model_path(folder)
    if folder.exists() and not path.exists():
        raise FileNotFoundError(f"{path}: expected the model of a finished epoch, found none; resume the training")
    state = load_tensors(path)
    try:
        with torch.device("meta"):  # sizes of a damaged file take no memory
            model = build()
    except RuntimeError as error:
        _checks.fail_value(str(folder / "config.json"), "the sizes of a model", str(error))
    load_state(model, state, str(path), assign=True)
    return model


def _kind_of(system: str) -> type[Run]:
    # the systems build on this module
    if system == "few-label":
        from latentcore.train.few_label import FewLabelRun

        return FewLabelRun
    if system == "rotation":
        from latentcore.train.rotation import RotationRun

        return RotationRun
    if system == "classifier":
        from latentcore.train.classifier import ClassifierRun

        return ClassifierRun
    if system == "egamma":
        from latentcore.train.egamma import EgammaRun

        return EgammaRun
    if system == "gan":
        from latentcore.train.gan import GANRun

        return GANRun
    if system == "photographs":
        from latentcore.train.photographs import PhotographsRun

        return PhotographsRun
    from latentcore.train.autoencoder import AutoencoderRun

    return AutoencoderRun


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
