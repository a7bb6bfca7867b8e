"""What commands have in common: where data come from, and options that exclude each other."""

import os
from collections.abc import Mapping
from pathlib import Path


def data_folder(data: Path | None) -> Path:
    """The folder of MNIST's files: `data`, or the environment's LATENTCORE_DATA."""
    if data is None and "LATENTCORE_DATA" not in os.environ:
        raise ValueError(
            "--data: expected a folder with MNIST's files (or LATENTCORE_DATA), got none; "
            "`latentcore data fetch mnist --out mnist` makes one"
        )
    return data if data is not None else Path(os.environ["LATENTCORE_DATA"])


def check_alone(new: Mapping[str, object]) -> None:
    """Options of a new run do not stand beside `--resume`: the run has its own."""
    given = ", ".join(f"--{name.replace('_', '-')}" for name, value in new.items() if value is not None)
    if given:
        raise ValueError(f"--resume: expected no {given} beside it: the run has its own")
