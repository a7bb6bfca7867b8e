"""What is read from the files, whatever their layout, and in how much memory."""

import os
import sys

import h5py
import numpy as np
import pytest
import torch
from tests.data.egamma_events import CHANNELS, LAYOUTS, SIDE, events, joined, write

from children import run_child
from latentcore._hdf5 import unpacking
from latentcore.data.egamma import EgammaFiles


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_gives_what_h5py_reads(tmp_path, small_blocks, layout):
    images, labels = events(430)
    path = write(tmp_path / "a.h5", images, labels, **layout)
    with h5py.File(path) as file:
        expected = torch.from_numpy(file["X"][:].astype("f4")).permute(0, 3, 1, 2)
    files = EgammaFiles(path)
    assert torch.equal(files.load().images, expected)
    streamed = joined(files.stream(batch_size=48).epoch(0))
    assert streamed[0].shape == (430, CHANNELS, SIDE, SIDE)
    assert streamed[0].dtype == torch.float32
    assert streamed[0].is_contiguous()
    assert torch.equal(streamed[0], expected[streamed[2]])
    assert streamed[1].tolist() == labels[streamed[2]].tolist()


@pytest.mark.parametrize("filters", ["lzf", "gzip"])
def test_chunks_without_a_decoder_or_left_unpacked_are_read_by_hdf5(tmp_path, small_blocks, monkeypatch, filters):
    images = np.random.default_rng(0).random((90, SIDE, SIDE, CHANNELS))  # that lzf makes longer, so it leaves them
    images[:30] = 0
    path = write(tmp_path / "a.h5", images, np.zeros(90), chunks=(30, SIDE, SIDE, CHANNELS), compression=filters)
    expected = torch.from_numpy(images.astype("f4")).permute(0, 3, 1, 2)
    assert torch.equal(EgammaFiles(path).load().images, expected)
    monkeypatch.setattr(unpacking, "lzf", lambda: None)
    assert torch.equal(EgammaFiles(path).load().images, expected)


def test_chunks_that_were_never_written_are_zeros(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("X", (60, 4, 4, 2), "f4", chunks=(20, 4, 4, 2), compression="lzf")
        data[20:40] = 1
        file["y"] = np.zeros(60)
    assert EgammaFiles(tmp_path / "a.h5").load().images.sum((1, 2, 3)).tolist() == [0] * 20 + [32] * 20 + [0] * 20


MEMORY = """
import sys
from latentcore.data.egamma import EgammaFiles, inspect
from latentcore.testing import peak_memory_mb
before = peak_memory_mb()
count = sum(len(batch.labels) for batch in EgammaFiles(sys.argv[1]).stream(batch_size=64).epoch(0))
print(count, peak_memory_mb() - before)
inspect(sys.argv[1])
print(count, peak_memory_mb() - before)
"""


@pytest.mark.long
def test_a_large_file_takes_little_memory(tmp_path):
    rows, count = 9960, 50_000  # of 410 MB
    random = np.random.default_rng(0)
    hit = random.random((rows, 32, 32, 1), dtype=np.float32) < 0.1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("X", (count, 32, 32, 2), "f4", chunks=(rows, 32, 32, 2), compression="lzf")
        data[:rows] = hit * random.random((rows, 32, 32, 2), dtype=np.float32)
        file.flush()
        _, packed = data.id.read_direct_chunk((0, 0, 0, 0))
        for begin in range(rows, count, rows):
            data.id.write_direct_chunk((begin, 0, 0, 0), packed)
        file["y"] = np.arange(count) % 2
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "a.h5")]
    # one thread, since small batches on a busy machine would mostly wait for the other
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = run_child(command, env=environment)
    assert result.returncode == 0, result.stderr
    for line in result.stdout.splitlines():
        assert int(line.split()[0]) == count
        assert float(line.split()[1]) <= 220  # two chunks of 78 MB, what HDF5 holds, and batches
