"""Trainings stay as small as they are after their first steps, though other blocks lie between what they free."""

import os
import sys
from pathlib import Path

import pytest

from children import run_child

HEAP = Path(__file__).with_name("heap.py")
STEPS = 2000
# of images; as many as make tensors of a size that the C library does not find again
BATCHES = {
    "autoencoder: residual-vae-32": 8,
    "few_label: plain": 64,
    "rotation: study": 16,
    "classifier: rotated": 16,
    "gan: digits": 16,
    "photographs: patches": 2,
    "egamma: small": 16,
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BATCHES)
def test_a_training_does_not_grow(name, tmp_path):
    command = [sys.executable, "-W", "ignore", str(HEAP), name, str(BATCHES[name]), str(STEPS), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": f"{HEAP.parent}:{HEAP.parents[1]}"}
    done = run_child(command, env=environment, limit=580)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 200
