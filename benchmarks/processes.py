"""A mixture fitted by one and by two processes: seconds of an iteration over the number of samples.

usage: python -m benchmarks.processes [--json FILE]

Every process has one thread, so that two of them are twice the processor. Two of torch.distributed's processes talk
through gloo on this machine. An iteration's time is that of a long fit less that of a short one.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from sklearn.exceptions import ConvergenceWarning

from benchmarks.quality.figures import machine
from latentcore import GaussianMixture
from latentcore._files import write_json

_FEATURES, _COMPONENTS, _SHORT, _LONG, _TURNS = 16, 8, 5, 35, 5
_SAMPLES = (10_000, 100_000, 1_000_000, 2_000_000)


def main() -> None:
    """Start the processes, print and keep what the first of each measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seconds = {count: _launched(count) for count in (1, 2)}
    rows: list[dict[str, Any]] = [
        {"samples": samples, "seconds": {str(count): times[str(samples)] for count, times in seconds.items()}}
        for samples in _SAMPLES
    ]
    message = 8 * (1 + _COMPONENTS * (1 + _FEATURES + _FEATURES**2))
    latency = seconds[2]["message"]
    print(f"D={_FEATURES}, K={_COMPONENTS}, full: {message} bytes an iteration, {1e6 * latency:.0f} us between two")
    for row in rows:
        one, two = (1e3 * row["seconds"][count] for count in ("1", "2"))
        print(f"N={row['samples']:>9,}: {one:8.2f} ms with one process, {two:8.2f} ms with two, {one / two:.2f} times")
    if arguments.json is not None:
        content = {"machine": machine(), "bytes": message, "message_seconds": latency, "rows": rows}
        write_json(arguments.json, content)


def _launched(count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seconds.json"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        subprocess.run(
            [*launcher, "-m", "benchmarks.processes", str(path)], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        found: dict[str, float] = json.loads(path.read_text())
    return found


def _measure(path: Path) -> None:
    """What each process runs."""
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(1)
    found = {str(samples): _iteration(samples // size, rank) for samples in _SAMPLES}
    found["message"] = _message_seconds()
    if rank == 0:
        path.write_text(json.dumps(found))
    dist.destroy_process_group()


def _iteration(samples: int, rank: int) -> float:
    x = torch.randn(samples, _FEATURES, generator=torch.Generator().manual_seed(rank))
    turns = [_fit(x, _LONG) - _fit(x, _SHORT) for _ in range(_TURNS)]
    return statistics.median(turns) / (_LONG - _SHORT)


def _fit(x: torch.Tensor, iterations: int) -> float:
    options: dict[str, Any] = {"init_params": "random_from_data", "tol": 0.0, "random_state": 0}
    dist.barrier()
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        GaussianMixture(_COMPONENTS, max_iter=iterations, **options).fit(x, group=dist.group.WORLD)
    return time.perf_counter() - began


def _message_seconds() -> float:
    """Of one all-reduce of an iteration's size."""
    values = torch.zeros(1 + _COMPONENTS * (1 + _FEATURES + _FEATURES**2), dtype=torch.float64)
    dist.barrier()
    began = time.perf_counter()
    for _ in range(200):
        dist.all_reduce(values)
    return (time.perf_counter() - began) / 200


if __name__ == "__main__":
    if "RANK" in os.environ:
        _measure(Path(sys.argv[1]))
    else:
        main()
