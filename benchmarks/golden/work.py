"""Golden runs in processes of their own, some at a time."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.golden.contents import contents
from benchmarks.golden.runs import RUNS

_ROOT = Path(__file__).parents[2]
_INTERRUPTED = 130  # what the command line returns then
_LIMIT = 900  # seconds of a process

Found = dict[str, dict[str, str]]


def chosen(names: Iterable[str], wanted: Sequence[str] | None) -> list[str]:
    """The names that begin as one of those that are wanted; without such, all."""
    return [name for name in names if wanted is None or name.startswith(tuple(wanted))]


def golden(names: Sequence[str], folder: Path, *, jobs: int = 2, threads: int = 1) -> Found:
    """Train runs in a folder, and all that they need: name -> what `contents` finds.

    Raises:
        RuntimeError: A process failed; the end of what it said is in the message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    _call(folder, threads, "prepare")
    needed = {other for name in names for other in RUNS[name].needs}
    first = [name for name in RUNS if name in needed or (name in names and not RUNS[name].needs)]
    then = [name for name in names if name not in first]
    with ThreadPoolExecutor(jobs) as pool:
        for some in (first, then):
            list(pool.map(lambda name: _train(folder, threads, name), some))
    return {name: _contents(folder, name) for name in names}


def figures(found: Found) -> dict[str, dict[str, float]]:
    """The figures of each run that has some."""
    start = "run/metrics.json: "
    numbers = {
        name: {key.removeprefix(start): float(ast.literal_eval(word)) for key, word in entries.items() if start in key}
        for name, entries in found.items()
    }
    return {name: row for name, row in numbers.items() if row}


def _contents(folder: Path, name: str) -> dict[str, str]:
    places = {"run": folder / "runs" / name, "out": folder / "out" / name}
    return {f"{word}/{key}": value for word, place in places.items() for key, value in contents(place).items()}


def _train(folder: Path, threads: int, name: str) -> None:
    if RUNS[name].begun:
        _call(folder, threads, "begin", name, expected=_INTERRUPTED)
    _call(folder, threads, "run", name)


def _call(folder: Path, threads: int, *words: str, expected: int = 0) -> None:
    environment: dict[str, Any] = {name: value for name, value in os.environ.items() if name != "LATENTCORE_DATA"}
    # the processor's bits: another device has others, and so has another number of threads
    environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "benchmarks.golden.child", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_LIMIT)
    if done.returncode != expected:
        end = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(words)}: expected the exit code {expected}, got {done.returncode}:\n{end}")
