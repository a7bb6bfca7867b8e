"""HDF5 files that say they hold more than they do, and virtual data sets of other numbers."""

import sys

import h5py
import numpy as np
import pytest
from tests.data.test_hdf5 import IMAGES, written

from children import run_child
from latentcore import _hdf5
from latentcore._hdf5 import judging, reading
from latentcore.data import load_images
from latentcore.data.egamma import EgammaFiles


def test_a_sparse_data_set_is_read_as_far_as_it_fits(tmp_path, monkeypatch):
    path = written(tmp_path / "a.h5", lambda file: file.create_dataset("x", (10, 8, 8), "u1", chunks=(2, 8, 8)))
    assert not load_images(path).images.any()
    monkeypatch.setattr(judging, "available", lambda: 639)
    with pytest.raises(ValueError, match="x: expected at most"):
        load_images(path)


def sparse(layout):
    def change(file):
        data = file.create_dataset("x", (10**5, 64, 64), "u1", **({"chunks": (100, 64, 64)} if layout else {}))
        if layout != "never written":
            data[-1] = 1
        if layout == "virtual":
            whole = h5py.VirtualLayout(data.shape, "u1")
            whole[:] = h5py.VirtualSource(".", "x", data.shape)
            file.create_virtual_dataset("images", whole)

    return change


@pytest.mark.parametrize("layout", ["", "chunked", "never written", "virtual"])
def test_a_sparse_data_set_is_no_bomb(tmp_path, layout):
    """Of all of its 400 MB the file has a chunk or a page, or nothing."""
    path = written(tmp_path / "a.h5", sparse(layout))
    with pytest.raises(
        ValueError, match=r"a\.h5: .*expected at most 200 bytes for each that is stored, got 409,600,000"
    ):
        load_images(path)
    with h5py.File(path) as file:  # a stream reads a block at a time
        data = _hdf5.checked(file["images" if layout == "virtual" else "x"], "x")
        assert _hdf5.read(data, "x", slice(-1, None)).max() == (layout != "never written")


@pytest.mark.parametrize("layout", [{}, {"chunks": (2, 3, 3)}, {"chunks": (1, 1, 1)}])
def test_rows_are_read_in_pieces(tmp_path, monkeypatch, layout):
    monkeypatch.setattr(reading, "_AT_ONCE", 9)
    path = written(tmp_path / "a.h5", lambda file: file.create_dataset("x", data=IMAGES, **layout))
    assert np.array_equal(load_images(path).images[:, 0], IMAGES)
    with h5py.File(path) as file:
        assert np.array_equal(_hdf5.read(_hdf5.checked(file["x"], "x"), "x", slice(1, 6)), IMAGES[1:6])
    written(path, lambda file: file.create_dataset("x", (0, 5, 4), "u1"))
    with pytest.raises(ValueError, match=r"a\.h5: images: expected at least one image"):
        load_images(path)


def crumbs(path, rows):
    return written(path, lambda file: file.create_dataset("x", (rows, 64, 64), "u1", chunks=(1, 1, 1)))


def test_chunks_that_nobody_has_written_are_not_looked_up_by_the_million(tmp_path):
    with pytest.raises(ValueError, match=r"a\.h5: .*at most 200 chunks for each that is written, got 819,200 for 0"):
        load_images(crumbs(tmp_path / "a.h5", 200))


READ = """
import resource, sys
from latentcore.data import load_images
from latentcore.data.egamma import EgammaFiles
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
load_images(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_small_chunks_take_little_memory(tmp_path):
    """HDF5 notes 7 kB for each that it is asked for: 700 MB where it is asked for all of these."""
    done = run_child([sys.executable, "-c", READ, str(crumbs(tmp_path / "a.h5", 25))])
    assert int(done.stdout) < 150, done.stderr


def test_a_virtual_data_set_of_other_processors_bytes(tmp_path):
    def change(file):
        file["x"] = IMAGES.astype(">f4") / 255
        layout = h5py.VirtualLayout(IMAGES.shape, "<f4")
        layout[:] = h5py.VirtualSource(".", "x", IMAGES.shape)
        file.create_virtual_dataset("images", layout)

    assert np.array_equal(load_images(written(tmp_path / "a.h5", change)).images[:, 0], IMAGES)


def test_events_that_nobody_wrote_are_not_loaded(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", (40_000, 32, 32, 2), "f4", chunks=(100, 32, 32, 2))
        file["y"] = np.arange(40_000) % 2
    with pytest.raises(ValueError, match=r"a\.h5: X: expected at most 200 bytes for each .* got 327,680,000"):
        EgammaFiles(tmp_path / "a.h5").load()
