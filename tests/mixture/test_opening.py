"""What is an array and what a stream: memory maps, data sets and loaders of torch, files that become shorter."""

import os

import h5py
import joblib
import numpy as np
import pytest
import torch
from tests.mixture.streams import assert_same, hdf5, memory_map
from torch.utils.data import DataLoader, Dataset, TensorDataset

from latentcore.mixture import GaussianMixture, _stream, sweep
from latentcore.mixture._stream import open_stream

OPTIONS = {"n_components": 3, "init_size": 100, "random_state": 0}  # other samples are drawn of a stream


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0]


def fitted(X):
    return GaussianMixture(**OPTIONS).fit(X)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, ">f8"])
def test_a_memory_map_is_an_array(X, tmp_path, dtype):
    X = X.astype(dtype)
    joblib.dump(X, tmp_path / "x.joblib")
    mapped, expected = joblib.load(tmp_path / "x.joblib", mmap_mode="r"), fitted(X)
    assert isinstance(mapped, np.memmap)
    found = fitted(mapped)
    assert_same(found, expected, 0)
    assert found.means_.dtype == expected.means_.dtype
    assert np.array_equal(found.predict_proba(mapped), expected.predict_proba(X))
    assert (
        sweep(mapped, [2], ["diag"], random_state=0).rows[0].bic == sweep(X, [2], ["diag"], random_state=0).rows[0].bic
    )


@pytest.mark.long
def test_the_result_does_not_depend_on_the_number_of_processes(X):
    alone = fitted(X)
    workers = joblib.Parallel(n_jobs=2, max_nbytes=1000)
    for found in workers(joblib.delayed(fitted)(X) for _ in range(2)):
        assert_same(found, alone, 0)


def test_a_stream_is_asked_for(X, tmp_path):
    mapped = memory_map(X, tmp_path)
    stream = open_stream(mapped)
    assert open_stream(stream) is stream
    assert stream.length == 600
    found, expected = fitted(stream), fitted(lambda: iter([X]))
    np.testing.assert_allclose(found.means_, expected.means_, rtol=1e-9)
    assert not np.array_equal(found.means_, fitted(mapped).means_)
    assert np.array_equal(found.predict(stream), found.predict(X))
    assert found.score(stream) == pytest.approx(found.score(X), rel=1e-12)
    for other in (X, torch.from_numpy(X), X.tolist(), 3):
        with pytest.raises(TypeError, match="X: expected samples that are read in pieces, got"):
            open_stream(other)


def test_a_map_that_does_not_fit_is_a_stream_and_says_so(X, tmp_path, monkeypatch):
    mapped, expected = memory_map(X, tmp_path), fitted(open_stream(memory_map(X, tmp_path)))
    monkeypatch.setattr(_stream, "_COPIED", 2**11)
    monkeypatch.setattr(_stream, "available", lambda: 2 * X.nbytes)
    fitted(mapped)
    monkeypatch.setattr(_stream, "available", lambda: 2 * X.nbytes - 1)
    for use in (fitted, expected.predict, expected.score):
        with pytest.warns(UserWarning, match=r"X: a memory map of .* is read in pieces, .*open_stream\(X\)"):
            found = use(mapped)
        if use == fitted:
            assert_same(found, expected)
    fitted(open_stream(mapped))  # is no surprise


class Samples(Dataset):
    """A map-style data set whose items are whatever a function makes of a sample."""

    def __init__(self, X, item=lambda x: x):
        self.X, self.item = X, item

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.item(self.X[i])


ITEMS = {
    "samples": lambda x: x,
    "beside labels": lambda x: (x, 3),
    "beside vectors": lambda x: (x, np.eye(4)[1]),
    "beside themselves": lambda x: (x, x),
    "beside pictures": lambda x: (x, 1, np.zeros((2, 2, 2))),
}


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS.keys())
def test_data_sets_and_loaders(X, item, monkeypatch):
    monkeypatch.setattr(_stream, "_BATCH", 70)
    expected, before = GaussianMixture(3, random_state=0).fit(X), torch.get_rng_state()
    data = Samples(torch.from_numpy(X), item)
    assert_same(GaussianMixture(3, random_state=0).fit(data), expected)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(GaussianMixture(3, random_state=0).fit(DataLoader(data, 50)), expected)
    assert np.array_equal(expected.predict(data), expected.predict(X))
    assert open_stream(data).length == 600


def test_a_data_set_of_tensors_and_a_list_of_pieces(X):
    expected = GaussianMixture(3, random_state=0).fit(X)
    for data in (TensorDataset(torch.from_numpy(X)), np.array_split(X, 7), torch.from_numpy(X).split(99)):
        assert_same(GaussianMixture(3, random_state=0).fit(data), expected)


def named(x):
    return {"image": x, "label": 1}


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (lambda X: Samples(X, named), TypeError, "X: expected samples of real numbers, got a dict of image, label"),
        (lambda X: DataLoader(Samples(X, named), 50), TypeError, "got a dict of image, label"),
        (lambda X: {"x": X}, TypeError, r"X: expected samples \(N, D\), got a dict"),
        (lambda X: lambda: iter([[X[:9], X[:8]]]), ValueError, r"got a list of arrays of shapes \(9, 3\), \(8, 3\)"),
        (lambda X: Samples(X, lambda x: x[0]), ValueError, r"X: expected samples of shape \(D,\), got \(\)"),
        (lambda X: Samples(X[:0]), ValueError, "at least one sample, got an empty stream"),
    ],
)
def test_what_is_refused(X, data, error, message):
    with pytest.raises(error, match=message):
        GaussianMixture(2).fit(data(X))


def test_a_data_set_is_no_batch(X):
    for data in (Samples(X), TensorDataset(torch.from_numpy(X)), [X, X]):
        with pytest.raises(TypeError, match="X: expected an array or tensor"):
            GaussianMixture(2).partial_fit(data)


@pytest.mark.parametrize("options", [{}, {"chunks": (100, 3)}, {"chunks": (100, 3), "compression": "lzf"}])
@pytest.mark.parametrize("mapped", [True, False])
def test_a_file_that_becomes_shorter_between_two_pieces(X, tmp_path, monkeypatch, options, mapped):
    monkeypatch.setattr(_stream, "_COPIED", 2**11)
    monkeypatch.setattr(_stream, "_MAPPED", 2**11)
    read = open_stream(hdf5(X, tmp_path, **options), map=mapped)._read()  # in this thread
    next(read)
    os.truncate(tmp_path / "x.h5", 4096)
    with pytest.raises(ValueError, match=r"X, .*/x: expected"):
        next(read)


def test_plain_numbers_are_mapped_or_copied(X, tmp_path):
    data = hdf5(X, tmp_path)
    assert isinstance(open_stream(data), _stream._Mapped)
    assert isinstance(open_stream(data, map=False), _stream._Sliced)
    assert_same(fitted(open_stream(data, map=False)), fitted(data))


def test_a_file_that_grows_is_read(X, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = X
        stream = open_stream(file["x"])
        file["y"] = X
        assert_same(fitted(stream), fitted(lambda: iter([X])))


KINDS = {
    "list": lambda row: row.tolist(),
    "tuple": tuple,
    "big-endian": lambda row: row.astype(">f8"),
    "objects": lambda row: row.astype(object),
    "list beside a label": lambda row: (row.tolist(), 1),
    "tensor beside a matrix": lambda row: (torch.from_numpy(row), torch.ones(2, 2)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_a_row_however_it_is_given(X, kind):
    found = GaussianMixture(2, random_state=0).fit(Samples(X, KINDS[kind]))
    assert_same(found, GaussianMixture(2, random_state=0).fit(X))


def test_samples_of_other_kinds_are_one_error(X):
    for kind, message in (
        (lambda row: {"x": row}, "X: expected samples of real numbers, got a dict of x"),
        (lambda row: ({"x": row}, 1), "X: expected samples of real numbers, got a dict of x"),
        (lambda row: None, "X: expected samples of shape"),
        (lambda row: row[: 1 + (row[0] > 0)], r"X: expected samples of shape \(.,\), as others have, got \(.,\)"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            GaussianMixture(2).fit(Samples(X, kind))
    with pytest.raises(ValueError, match=r"X: expected batches of shape \(n, D\), got \d tensors of shape"):
        GaussianMixture(2).fit(DataLoader(Samples(X, KINDS["list"]), batch_size=50))


def test_a_mapped_stream_is_copied_where_that_is_asked_for(tmp_path, X):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
    with h5py.File(tmp_path / "a.h5") as file:
        mapped = open_stream(file["x"])
        assert isinstance(open_stream(mapped), _stream._Mapped)
        assert isinstance(open_stream(mapped, map=False), _stream._Sliced)
