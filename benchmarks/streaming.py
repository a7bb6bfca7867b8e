"""A mixture fitted from an HDF5 file against the same fit in memory: seconds, and memory above the imports.

usage: python -m benchmarks.streaming [--samples N] [--json FILE]

The file is in the page cache. Both fits start from the same parameters and run the same number of iterations; an
iteration's time is that of a long fit less that of a short one, the median of turns that alternate. Memory is that of a
fit from a k-means start, in a process of its own.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from benchmarks.quality.figures import machine
from latentcore import GaussianMixture
from latentcore._files import write_json

_FEATURES, _SHORT, _LONG, _TURNS = 16, 2, 8, 3
_CASES = ((4, "diag"), (8, "full"), (16, "full"), (32, "full"))

_MEMORY = """
import sys
import h5py
from benchmarks.streaming import fit
from latentcore.testing import peak_memory_mb
before = peak_memory_mb()
with h5py.File(sys.argv[1]) as file:
    fit(file["X"], int(sys.argv[2]), sys.argv[3], 3, "kmeans")
print(peak_memory_mb() - before)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "samples.h5", arguments.samples)
        rows = [measured(path, components, kind) for components, kind in _CASES]
    if arguments.json is not None:
        result = {"machine": machine(), "samples": arguments.samples, "features": _FEATURES, "rows": rows}
        write_json(arguments.json, result)


def write(path: Path, samples: int) -> Path:
    """A file of samples around eight centres."""
    random = np.random.default_rng(0)
    centres = random.normal(0, 3, (8, _FEATURES)).astype(np.float32)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("X", (samples, _FEATURES), "f4")
        for begin in range(0, samples, 500_000):
            count = min(500_000, samples - begin)
            noise = random.standard_normal((count, _FEATURES), dtype=np.float32)
            data[begin : begin + count] = centres[random.integers(0, 8, count)] + noise
    return path


def fit(X: Any, components: int, kind: str, iterations: int, start: str = "given") -> float:
    """Seconds of a fit, from samples around the centres' centre or from a k-means start."""
    options: dict[str, Any] = {"covariance_type": kind, "random_state": 0}
    if start == "given":
        shape = {"full": (components, 1, 1), "diag": (components, 1)}[kind]
        unit = np.eye(_FEATURES) if kind == "full" else np.ones(_FEATURES)
        options["weights_init"] = np.full(components, 1 / components)
        options["means_init"] = np.random.default_rng(1).normal(0, 3, (components, _FEATURES))
        options["precisions_init"] = np.tile(unit / 9, shape)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        GaussianMixture(components, max_iter=iterations, tol=0.0, **options).fit(X)
    return time.perf_counter() - began


def measured(path: Path, components: int, kind: str) -> dict[str, Any]:
    """One row."""
    command = [sys.executable, "-c", _MEMORY, str(path), str(components), kind]
    memory = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    with h5py.File(path) as file:
        sources = {"file": file["X"], "memory": torch.from_numpy(file["X"][:])}
        turns: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
        for _ in range(_TURNS):
            for name, X in sources.items():
                turns[name].append((fit(X, components, kind, _SHORT), fit(X, components, kind, _LONG)))
    passes = {
        name: statistics.median((long - short) / (_LONG - _SHORT) for short, long in times)
        for name, times in turns.items()
    }
    whole = {name: statistics.median(long for _, long in times) for name, times in turns.items()}
    row = {
        "components": components,
        "covariance_type": kind,
        "memory_mb": memory,
        "iteration_seconds": passes,
        "fit_seconds": whole,
        "iteration_speed": passes["memory"] / passes["file"],
        "fit_speed": whole["memory"] / whole["file"],
    }
    print(
        f"K={components:<3} {kind:5} {memory:4.0f} MB; iteration {passes['file']:.3f} s from the file, "
        f"{passes['memory']:.3f} s in memory: {row['iteration_speed']:.0%} of the speed, fit {row['fit_speed']:.0%}"
    )
    return row


if __name__ == "__main__":
    main()
