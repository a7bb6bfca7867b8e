"""Files that are damaged at random are read or refused in words: no signal, no other error, little memory."""

import os
import sys

import pytest

from children import run_child

FEW = {"arrays": 60, "hdf5": 8, "pictures": 40, "runs": 25}
# of each format: IDX, .npy, .npz and CIFAR's; HDF5; PNG, JPEG, WebP and BMP; the four files of a run
MANY = {"arrays": 10_000, "hdf5": 2_000, "pictures": 12_000, "runs": 8_000}
PARTS = 10
MEGABYTES = 500


def check(kind, folder, count, seed, limit=110):
    command = [sys.executable, "-m", "tests.damaged", kind, str(folder), str(count), str(seed)]
    done = run_child(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, limit=limit)
    *numbers, last = done.stdout.splitlines()
    assert done.returncode == 0, (numbers[-1:], done.stderr)
    grown, refused, wrong = last.split(maxsplit=2)
    assert wrong == "[]"
    assert len(numbers) == count
    assert int(refused) > count / 4
    assert int(grown) < MEGABYTES


@pytest.mark.parametrize("kind", FEW)
def test_a_few(kind, tmp_path):
    check(kind, tmp_path, FEW[kind], 0)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", MANY)
def test_some(kind, tmp_path):
    check(kind, tmp_path, MANY[kind] // 40, PARTS + 1, limit=380)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(1, PARTS + 1))
@pytest.mark.parametrize("kind", MANY)
def test_many(kind, tmp_path, seed):
    check(kind, tmp_path, MANY[kind] // PARTS, seed, limit=3600)
