"""What a call allocates is counted, whoever asks for it, and shown beside the time."""

import json
import os
import subprocess
import sys

import pytest
from rich.console import Console

from benchmarks import conftest, contest, memory
from children import run_child

SIZE = 4_000_000
ROOM = 4 << 17  # what the kernel of rotations takes for each thread, by C++'s new
CALLS = """
import json
import numpy as np
import torch
from benchmarks.memory import peak_bytes
from latentcore import ops

n = 1_000_000  # 4 MB as float32
x, images, degrees = torch.ones(n), torch.rand(1000, 1, 25, 40), torch.rand(1000)
array, kept = x.numpy(), []

def longer():
    block = bytearray(1000)
    block *= 4 * n // 1000
    return block

def replaced():
    kept[:] = [torch.ones(n)]  # those of the call before go when these are there
    kept[:] = []

def failing():
    kept[:] = [torch.ones(n)]
    raise RuntimeError

calls = {
    "nothing": lambda: None,
    "three numbers": lambda: torch.ones(3),
    "torch": lambda: torch.ones(n),
    "torch, two at a time": lambda: (x + 1) * 2 + 3,
    "numpy": lambda: np.ones(n, np.float32),
    "numpy, not yet touched": lambda: np.zeros(n, np.float32),
    "numpy, one at a time": lambda: [np.exp(array).sum() for _ in range(3)],
    "our kernel": lambda: ops.rotate(images, degrees),
    "longer and longer": longer,
    "replaced": replaced,
}
found = {}
for name, call in calls.items():
    call()
    found[name] = peak_bytes(call)
try:
    peak_bytes(failing)
except RuntimeError:
    found["less than before"] = peak_bytes(kept.clear)
print(json.dumps(found))
"""
EXPECTED = {
    "nothing": 0,
    "three numbers": 0,
    "torch": SIZE,
    "torch, two at a time": 2 * SIZE,
    "numpy": SIZE,
    "numpy, not yet touched": SIZE,
    "numpy, one at a time": SIZE,
    "longer and longer": SIZE,
    "replaced": SIZE,
    "less than before": 0,
}


@pytest.fixture(scope="module")
def counter(once, pytestconfig):
    """The library, built as the Makefile does."""

    def build(folder):
        command = f"g++ -O2 -Wall -Wextra -Werror -shared -fPIC -o {folder}/allocations.so benchmarks/allocations.cpp"
        subprocess.run(command.split(), check=True, cwd=pytestconfig.rootpath)

    return once("allocations", build) / "allocations.so"


def test_what_is_allocated_is_counted_whoever_asks_for_it(counter, pytestconfig):
    environment = {**os.environ, "LD_PRELOAD": str(counter), "OMP_NUM_THREADS": "1"}
    done = run_child([sys.executable, "-c", CALLS], env=environment, cwd=pytestconfig.rootpath)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert SIZE + ROOM <= found.pop("our kernel") < SIZE + 1.2 * ROOM
    assert found == {name: pytest.approx(size, rel=0.03, abs=10_000) for name, size in EXPECTED.items()}


def test_nothing_is_said_where_nobody_counts(monkeypatch):
    monkeypatch.setattr(memory, "COUNTED", False)
    called = []
    assert memory.peak_bytes(lambda: called.append(1)) is None
    assert not called
    assert memory.megabytes(None) == "?"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "<0.1"), (40_000, "<0.1"), (60_000, "0.1"), (2_340_000, "2.3"), (1_234_567_890, "1235")]
)
def test_megabytes(size, text):
    assert memory.megabytes(size) == text


def test_the_table_has_the_memory_of_everyone_beside_the_time(monkeypatch):
    row = {
        "operator": "add",
        "shape": "3×2",
        "seconds": {contest.OURS: 0.0012, "eager": 0.0345, "numpy": 0.0567},
        "peak_bytes": {contest.OURS: 4_100_000, "eager": 16_000_000, "numpy": None},
        "ratio": 28.75,
        "at_least": None,
        "goal": None,
        "fraction_of_limit": 0.5,
    }
    monkeypatch.setattr(conftest, "ROWS", [row])
    console = Console(width=200)
    with console.capture() as captured:
        console.print(conftest._table())
    title, line = captured.get().splitlines()
    assert "ours, ms / MB" in title
    assert "others, ms / MB" in title
    assert "1.2 / 4.1" in line
    assert "eager 34.5 / 16, numpy 56.7 / ?" in line
