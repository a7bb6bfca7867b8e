"""What is read of files and iterables, and which of them are refused."""

import os
import threading
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.mixture.streams import Pieces, assert_same, hdf5, memory_map

from latentcore.mixture import GaussianMixture
from latentcore.mixture._stream import open_stream


def test_pieces_that_fill_the_same_memory(blobs):
    buffer = np.empty((100, 3))

    def reusing():
        for piece in Pieces(blobs[0], 100):
            buffer[:] = piece
            yield buffer

    expected = GaussianMixture(3, random_state=0).fit(blobs[0])
    assert_same(GaussianMixture(3, random_state=0).fit(reusing), expected)
    assert_same(GaussianMixture(3, random_state=0).fit(reusing()), expected)


def test_a_file_is_the_one_that_was_opened(blobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = blobs[0]
    hdf5(X, Path())
    with h5py.File("x.h5") as opened:
        (tmp_path / "other").mkdir()
        hdf5(X + 100, tmp_path / "other")
        (tmp_path / "other" / "x.h5").replace("x.h5")
        expected = GaussianMixture(3, random_state=0).fit(X)
        assert_same(GaussianMixture(3, random_state=0).fit(opened["x"]), expected)
    mapped = memory_map(X, tmp_path)
    Path("x.npy").unlink()
    assert_same(GaussianMixture(3, random_state=0).fit(mapped), expected)


def test_a_type_that_only_hdf5_has(tmp_path):
    half = h5py.h5t.IEEE_F32LE.copy()  # bfloat16: the upper half of float32
    half.set_fields(15, 7, 8, 0, 7)
    half.set_size(2)
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        space = h5py.h5s.create_simple(X.shape)
        h5py.h5d.create(file.id, b"x", half, space).write(h5py.h5s.ALL, h5py.h5s.ALL, X)
    with h5py.File(tmp_path / "x.h5") as file:
        read = np.concatenate([piece.numpy().copy() for piece in open_stream(file["x"]).pieces()])
        assert np.array_equal(read, file["x"][:])


def test_whole_numbers_and_halves(tmp_path):
    X = np.random.default_rng(0).integers(-50, 50, (200, 2))
    expected = GaussianMixture(2, random_state=0).fit(X.astype(float))
    assert_same(GaussianMixture(2, random_state=0).fit(hdf5(X, tmp_path)), expected)
    halves = GaussianMixture(2, random_state=0).fit(open_stream(memory_map(X.astype(np.float16), tmp_path)))
    assert halves.means_.dtype == np.float32
    np.testing.assert_allclose(halves.means_, expected.means_, atol=1e-3)


def test_a_piece_is_read_while_one_is_in_use(blobs):
    readers = set()

    def pieces():
        for piece in Pieces(blobs[0], 100):
            readers.add(threading.current_thread().name)
            yield piece

    GaussianMixture(2, random_state=0).fit(pieces)
    assert threading.main_thread().name not in readers
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("latentcore-reader")]


def test_beside_labels_the_order_stays(blobs):
    order = np.random.default_rng(0)

    def shuffled():
        return iter(Pieces(order.permutation(blobs[0]), 100))

    GaussianMixture(2, random_state=0).fit(shuffled)
    with pytest.raises(ValueError, match="X: expected the same order in every pass, beside weights or labels"):
        GaussianMixture(2, random_state=0).fit(shuffled, sample_weight=np.ones(600))


def bad(rows, value=np.nan, size=50):
    X = np.zeros((200, 2)) + np.arange(200)[:, None]
    X[rows] = value
    return Pieces(X, size)


@pytest.mark.parametrize(
    ("stream", "error", "message"),
    [
        (lambda: iter([np.zeros((5, 2), np.float32), np.zeros((5, 2))]), TypeError, "X: expected pieces of one dtype"),
        (
            lambda: iter([[np.zeros((5, 2)), np.zeros((5, 2))]]),
            ValueError,
            r"pieces of shape \(n, D\), got a list of arrays of shapes \(5, 2\), \(5, 2\)",
        ),
        (bad(137), ValueError, "X: expected finite numbers, got NaN or infinity in sample 137"),
        (bad(3, np.inf), ValueError, "infinity in sample 3"),
        (lambda: iter([np.zeros((5, 2)), np.zeros((5, 3))]), ValueError, r"pieces of shape \(n, 2\), got \(5, 3\)"),
        (lambda: iter([np.zeros(5)]), ValueError, r"pieces of shape \(n, D\), got \(5,\)"),
        (lambda: iter([]), ValueError, "at least one sample, got an empty stream"),
        (iter([]), ValueError, "at least one piece"),
        (lambda: iter([np.zeros((4, 2), dtype=complex)]), TypeError, "X: expected pieces of real numbers"),
        (lambda: iter([np.array([["a", "b"]])]), TypeError, "X: expected pieces of real numbers"),
        (lambda: iter([np.zeros((2, 2))]), ValueError, "at least n_components = 3 samples, got 2"),
    ],
)
def test_bad_streams(stream, error, message):
    with pytest.raises(error, match=message):
        GaussianMixture(3).fit(stream)


def test_bad_files(tmp_path):
    with pytest.raises(ValueError, match=r"X: expected shape \(N, D\)"):
        GaussianMixture(2).fit(hdf5(np.zeros(5), tmp_path))
    with pytest.raises(TypeError, match="X: expected real numbers"):
        open_stream(memory_map(np.zeros((5, 2), dtype=complex), tmp_path))
    with pytest.raises(ValueError, match="empty stream"):
        GaussianMixture(2).fit(hdf5(np.zeros((0, 2)), tmp_path))


def test_a_stream_that_changes_and_one_that_fails(blobs):
    lengths = iter([600, 500])

    def shrinking():
        return iter(Pieces(blobs[0][: next(lengths)], 100))

    with pytest.raises(ValueError, match="X: expected 600 samples in every pass, got 500"):
        GaussianMixture(2).fit(shrinking)

    def broken():
        yield blobs[0][:300]
        raise OSError("the disk is gone")

    mixture = GaussianMixture(2, random_state=0).fit(blobs[0])
    before = mixture.means_
    with pytest.raises(OSError, match="the disk is gone"):
        mixture.fit(broken)
    assert mixture.means_ is before


@pytest.mark.parametrize("weight", [np.ones(599), np.ones(601), -np.ones(600)])
def test_bad_weights(blobs, weight):
    with pytest.raises(ValueError, match="sample_weight: expected"):
        GaussianMixture(2).fit(Pieces(blobs[0], 50), sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight: expected"):
        GaussianMixture(2).fit(blobs[0]).score(Pieces(blobs[0], 50), sample_weight=weight)


def samples_in(path, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", **options)
    return path


def test_a_virtual_data_set_has_its_sources_beside_it(blobs, tmp_path):
    parts = [
        samples_in(tmp_path / f"{i}.h5", data=part, compression=packer)
        for i, (part, packer) in enumerate(zip(np.split(blobs[0], 2), (None, "gzip"), strict=True))
    ]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        layout = h5py.VirtualLayout(blobs[0].shape, blobs[0].dtype)
        for i, part in enumerate(parts):
            layout[300 * i : 300 * i + 300] = h5py.VirtualSource(part.name, "x", (300, blobs[0].shape[1]))
        file.create_virtual_dataset("x", layout)
    expected = GaussianMixture(3, random_state=0).fit(blobs[0])
    with h5py.File(tmp_path / "x.h5") as file:
        assert_same(GaussianMixture(3, random_state=0).fit(file["x"]), expected)
    (tmp_path / "below").mkdir()
    message = r"X, .*x\.h5: /x: source 0\.h5: expected a file beside this one"
    moved = (tmp_path / "x.h5").rename(tmp_path / "below" / "x.h5")
    with h5py.File(moved) as file, pytest.raises(ValueError, match=message):
        GaussianMixture(3).fit(file["x"])


def test_numbers_of_other_files_and_shapes_without_numbers(tmp_path):
    for options, message in (
        ({"shape": (50, 2), "external": [("/etc/passwd", 0, 800)]}, "expected a data set in this file, got one whose"),
        ({"shape": (10**6, 10**7), "chunks": (100, 1000)}, r"expected at most .* got shape \(1000000, 10000000\)"),
        ({"shape": (4, 10**12), "chunks": (1, 1000)}, "expected samples of which 2 pieces fit the memory"),
    ):
        path = samples_in(tmp_path / "x.h5", dtype="f8", **options)
        with h5py.File(path) as file, pytest.raises(ValueError, match=rf"X.*: {message}"):
            GaussianMixture(2).fit(file["x"])


def test_a_chunk_that_unpacks_to_less(tmp_path):
    path = samples_in(tmp_path / "x.h5", shape=(2**20, 2), dtype="f8", chunks=(2**20, 2), compression="gzip")
    with h5py.File(path, "r+") as file:
        file["x"].id.write_direct_chunk((0, 0), zlib.compress(bytes(9)))
    with h5py.File(path) as file, pytest.raises(ValueError, match=r"X, .*/x: expected whole chunks, got .* of 9 bytes"):
        GaussianMixture(2).fit(file["x"])


def test_a_file_that_became_shorter(blobs, tmp_path):
    with h5py.File(samples_in(tmp_path / "x.h5", data=blobs[0])) as file:
        stream = open_stream(file["x"])
        assert len(list(stream.pieces())) == 1
        os.truncate(tmp_path / "x.h5", 4096)
        with pytest.raises(ValueError, match=r"X, .*/x: expected \d+ bytes, got a file of 4096"):
            list(stream.pieces())
