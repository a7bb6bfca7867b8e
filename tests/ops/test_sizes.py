"""Sizes whose product no 64 bits hold are an error, never a crash: in a child, so that a crash fails one test."""

import os
import subprocess
import sys
from pathlib import Path

import harness
import pytest

SCRIPT = Path(__file__).with_name("absurd.py")


@pytest.mark.parametrize("backend", ["cpu", "twin", "fake", *(["cuda"] if harness.ENABLED else [])])
def test_absurd_sizes_are_refused(backend):
    path = os.pathsep.join(
        str(folder) for folder in (SCRIPT.parents[1] / "cuda_host", os.environ.get("PYTHONPATH", ""))
    )
    done = subprocess.run(
        [sys.executable, SCRIPT, backend],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    case = done.stdout.splitlines()[-1:] or ["nothing"]
    assert done.returncode == 0, f"{case[0]}: exit status {done.returncode}: {done.stderr}"
