"""What takes long stays as small as it is after its first rounds, though other blocks lie between what it frees."""

import os
import sys
from pathlib import Path

import pytest

from children import run_child

HEAP = Path(__file__).with_name("heap.py")
# images of a batch, samples or events: as many as make tensors that the C library does not find again; and rounds
WORK = {
    "autoencoder: residual-vae-32": (8, 2000),
    "few_label: plain": (64, 2000),
    "rotation: study": (16, 2000),
    "classifier: rotated": (16, 2000),
    "gan: digits": (16, 2000),
    "photographs: patches": (2, 2000),
    "egamma: small": (16, 2000),
    "fit": (20_000, 1000),
    "fit, a stream": (20_000, 300),
    "fit, missing values": (2000, 300),
    "events": (1000, 300),
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", WORK)
def test_it_does_not_grow(name, tmp_path):
    command = [sys.executable, str(HEAP), name, str(tmp_path), *map(str, WORK[name])]
    done = run_child(command, env={**os.environ, "PYTHONPATH": str(HEAP.with_name("training"))}, limit=580)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 200
