"""Run folders: making them, and opening what was trained in them."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import inside, read_config, read_json
from latentcore.models.files import check_few_values


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
        return read_json(inside(self.folder, self.folder / "metrics.json"))

    def classify(self, images: Any) -> Tensor:
        """Labels (N,) of images; a system without a classifier raises TypeError."""
        raise TypeError(f"classify: the system {self.config['system']!r} of {self.folder} does not classify")


@torch_as_usual()
def load_run(folder: str | os.PathLike[str]) -> Any:
    """Open a run folder, which may come from anywhere: nothing in it is executed, and no link out of it is followed.

    Time and memory are bounded by the sizes of its files.

    Args:
        folder: A folder that training made, with `config.json` and `checkpoints/`.

    Returns:
        The run, with ``encode(images)``, ``decode(z)``, ``sample(n)``, ``classify(images)``, ``predict_proba(images)``
        and ``transform(z, angle)`` as the system has them.

    Raises:
        FileNotFoundError: The folder or a file of it is missing.
        OSError: A file cannot be read.
        ValueError: A file is damaged, holds code, is of another model, is no regular file, or is reached by a link
            that leads out of the folder; the message names the file or the folder.

    Example:
        >>> run = latentcore.load_run("runs/digits148-20260101T120000")  # doctest: +SKIP
        >>> run.decode(run.encode(images)).shape  # doctest: +SKIP
        torch.Size([10, 1, 28, 28])
    """
    folder = Path(folder)
    config = read_config(folder)
    system = config.get("system")
    if not isinstance(system, str):
        _errors.fail_value(str(folder / "config.json"), "the name of a system under 'system'", type(system).__name__)
    for path in (folder / "checkpoints").glob("*"):  # whichever of them the system reads
        inside(folder, path)
    try:
        # where data come from is nobody's configuration, and may be the names of very many files
        check_few_values({key: value for key, value in config.items() if key not in ("source", "data")})
        return _kind_of(system).open(folder, config)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        # the checks of configurations name fields, not where they were read
        raise ValueError(f"{folder / 'config.json'}: {error}") from error


def _kind_of(system: str) -> type[Run]:
    # the systems build on this module
    if system == "classifier":
        from latentcore.training.classifier import ClassifierRun

        return ClassifierRun
    if system == "gan":
        from latentcore.training.gan import GANRun

        return GANRun
    raise ValueError(f"system: expected a known one, got {system!r}")
