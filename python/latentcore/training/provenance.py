"""Which commands worked on a run, when, and on what machine: `commands.json` in its folder."""

import json
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentcore import _native
from latentcore._files import inside, read_bounded, replacing

_BEGAN = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"  # of this process, which is one entry however often it writes


def note_command(folder: Path) -> None:
    """Add this process to a run's `commands.json`, once; a file that is damaged is begun anew."""
    path = folder / "commands.json"
    own = {"command": _command(), "began": _BEGAN, "environment": environment()}
    before = [entry for entry in commands_of(path) if (entry.get("command"), entry.get("began")) != _word(own)]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps([*before, own], indent=2) + "\n")


def commands_of(path: Path) -> list[dict[str, Any]]:
    """The entries of a run's `commands.json`; none where it is missing, damaged, or beyond a link out of the folder."""
    try:
        content = json.loads(read_bounded(inside(path.parent, path)))
    except (OSError, ValueError, RecursionError):
        return []
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def environment() -> dict[str, str]:
    """Versions, kernels and machine, as words."""
    return {
        "latentcore": version("latentcore"),
        "torch": torch.__version__,
        "NumPy": np.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "SIMD level": _native.simd_level(),
        "CUDA device": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
    }


def _command() -> str:
    program = Path(sys.argv[0])
    # `python -m latentcore.cli` is the same command
    name = "latentcore" if program.parts[-2:] == ("latentcore", "cli.py") else program.name
    return shlex.join([name, *sys.argv[1:]])


def _word(entry: dict[str, Any]) -> tuple[object, object]:
    return entry["command"], entry["began"]
