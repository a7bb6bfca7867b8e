"""What a suite's result looks like in JSON."""

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from latentcore import _native


@dataclass(frozen=True)
class Figure:
    """A figure and the bar it should reach.

    Attributes:
        name: As users know it.
        bar: "at_least", "at_most", or None for a figure that is only reported.
        limit: The bar.
        goal: What would be better still, or None.
        worst: Whether the worst seed is what counts, instead of the mean.
    """

    name: str
    bar: Literal["at_least", "at_most"] | None = None
    limit: float | None = None
    goal: float | None = None
    worst: bool = False

    def row(self, values: Sequence[float]) -> dict[str, Any]:
        """The figure's row of the JSON file for its values, one per seed."""
        worst = min if self.bar == "at_least" else max
        reached = worst(values) if self.worst else sum(values) / len(values)
        row: dict[str, Any] = {"figure": self.name, "values": list(values), "reached": reached, "goal": self.goal}
        if self.bar is None or self.limit is None:
            return row | {"met": None}
        met = reached >= self.limit if self.bar == "at_least" else reached <= self.limit
        return row | {self.bar: self.limit, "met": met}


def report(suite: str, rows: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """The content of a suite's JSON file."""
    return {"suite": suite, "commit": _commit(), "machine": machine(), "seconds": seconds, "rows": list(rows)}


def _commit() -> str:
    answer = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def machine() -> dict[str, Any]:
    """What a figure depends on, without the machine's name."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "simd": _native.simd_level(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:  # noqa: PTH123  # not a file of ours
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
