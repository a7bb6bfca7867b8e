"""Samples that are read in pieces: the fit is that of the same samples in memory."""

import itertools
import os
import sys

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from tests.mixture.streams import Pieces, assert_same, hdf5, memory_map
from torch.utils.data import DataLoader, TensorDataset

from children import run_child
from latentcore.mixture import GaussianMixture
from latentcore.mixture._stream import open_stream
from latentcore.mixture.streaming import Draw

may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


STREAMS = {
    "memory map": lambda X, folder: open_stream(memory_map(X, folder)),
    "HDF5": hdf5,
    "HDF5, compressed": lambda X, folder: hdf5(X, folder, chunks=(130, 2), compression="lzf"),
    "iterable": lambda X, _: Pieces(X, 77),
    "function": lambda X, _: lambda: iter(Pieces(X, 101)),
    "iterator": lambda X, _: iter(Pieces(X, 600)),
    "one sample at a time": lambda X, _: Pieces(X, 1),
    "loader": lambda X, _: DataLoader(TensorDataset(torch.from_numpy(X)), batch_size=64),
}


every_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())


@every_stream
def test_a_stream_gives_the_fit_of_its_samples(blobs, tmp_path, stream):
    options = {"n_init": 2, "random_state": 0}
    expected = GaussianMixture(3, **options).fit(blobs[0])
    assert_same(GaussianMixture(3, **options).fit(stream(blobs[0], tmp_path)), expected)


@given(
    st.integers(6, 60),
    st.integers(1, 70),
    st.sampled_from(["full", "tied", "diag", "spherical"]),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
)
@may_stop_early
def test_any_pieces_give_the_fit(N, size, covariance_type, dtype, weighted, gaps, seed):
    random = np.random.default_rng(seed)
    X = random.normal(size=(N, 3)).astype(dtype)
    if gaps:
        X[random.uniform(size=X.shape) < 0.2] = np.nan
        X[0] = 0
    weight = random.uniform(0.5, 2, N) if weighted else None
    options = {
        "covariance_type": covariance_type,
        "missing": "marginalize" if gaps else "error",
        "reg_covar": 1e-2,
        "max_iter": 5,
        "random_state": 0,
    }
    expected = GaussianMixture(2, **options).fit(X, sample_weight=weight)
    found = GaussianMixture(2, **options).fit(Pieces(X, size), sample_weight=weight)
    assert_same(found, expected, 1e-7 if dtype == np.float64 else 2e-2)


@every_stream
def test_answers_to_a_stream(blobs, tmp_path, stream):
    mixture = GaussianMixture(3, random_state=0).fit(blobs[0], labels=np.where(np.arange(600) < 9, blobs[1], -1))
    X = blobs[0][:300]
    for method in ("predict", "predict_proba", "score_samples", "predict_label", "predict_label_proba"):
        answer = getattr(mixture, method)(stream(X, tmp_path))
        assert isinstance(answer, np.ndarray)
        np.testing.assert_allclose(answer, getattr(mixture, method)(X), rtol=1e-9, atol=1e-12)
    weight = np.linspace(0, 2, 300)
    for method in ("score", "aic", "bic", "icl"):
        found = getattr(mixture, method)(stream(X, tmp_path), sample_weight=weight)
        assert found == pytest.approx(getattr(mixture, method)(X, sample_weight=weight), rel=1e-9)


def test_labels_of_a_stream(blobs):
    X, groups = blobs
    labels = np.where(np.arange(600) % 20 == 0, groups, -1)
    for per_class in (None, 2):
        options = {"n_components_per_class": per_class, "random_state": 0, "n_components": 6}
        expected = GaussianMixture(**options).fit(X, labels=labels)
        found = GaussianMixture(**options).fit(Pieces(X, 70), labels=labels)
        assert_same(found, expected, 1e-7)
        np.testing.assert_allclose(found.component_label_proba_, expected.component_label_proba_, rtol=1e-7)


def test_a_start_from_some_of_the_samples(blobs):
    X = np.concatenate([blobs[0]] * 20)
    mixture = GaussianMixture(3, init_size=500, tol=1e-6, max_iter=300, random_state=0).fit(Pieces(X, 999))
    everywhere = GaussianMixture(3, tol=1e-6, max_iter=300, random_state=0).fit(X)
    assert mixture.lower_bound_ == pytest.approx(everywhere.lower_bound_, abs=1e-4)
    again = GaussianMixture(3, init_size=500, tol=1e-6, max_iter=300, random_state=0).fit(Pieces(X, 999))
    assert_same(again, mixture, 0)


@pytest.mark.parametrize("known", [None, 50])
def test_every_sample_is_drawn_as_often_as_another(known):
    counts, samples = np.zeros(50), torch.arange(50.0).unsqueeze(1)
    for seed in range(1000):
        draw = Draw(10, np.random.RandomState(seed), torch.empty(0, dtype=torch.int64), count=known)
        # pieces of less than what is drawn, and of less and more
        cuts = [*range(0, 50, 7), 50] if seed % 2 else [0, 7, 20, 33, 50]
        for begin, end in itertools.pairwise(cuts):
            draw.add(samples[begin:end], begin)
        x, rows = draw.result()
        assert x.flatten().tolist() == rows.tolist() == sorted(set(rows))
        assert len(rows) == 10
        counts[rows] += 1
    # each count is binomial: 1,000 draws of probability 1/5, deviation 12.6
    assert np.abs(counts - 200).max() < 4.5 * 12.6


def test_a_large_stream_starts_from_samples_of_every_class_and_of_some_weight():
    random = np.random.default_rng(0)
    groups = random.integers(0, 3, 6000)
    X = random.normal(size=(6000, 2)) + 30 * np.eye(3)[groups][:, :2]
    labels, weight = np.full(6000, -1), np.where(np.arange(6000) % 100 < 5, 1.0, 0.0)
    labels[[int(np.flatnonzero((groups == g) & (weight > 0))[0]) for g in range(3)]] = [0, 1, 2]
    for data in (X, Pieces(X, 700)):
        for seed in range(4):
            mixture = GaussianMixture(n_components_per_class=1, init_size=30, random_state=seed)
            mixture.fit(data, labels=labels, sample_weight=weight)
            assert np.mean(mixture.predict_label(X) == groups) > 0.999
            assert np.abs(mixture.means_[:, 0]).max() < 31


def test_a_feature_that_is_rarely_known():
    X = np.random.default_rng(0).normal(size=(6000, 2))
    X[4:, 1] = np.nan
    for data in (X, Pieces(X, 700)):
        mixture = GaussianMixture(2, init_size=100, missing="marginalize", reg_covar=0.1, random_state=0).fit(data)
        assert np.isfinite(mixture.means_).all()


def test_no_bar_where_there_is_no_terminal(blobs, capsys):
    GaussianMixture(2, verbose=1, verbose_interval=1, random_state=0).fit(Pieces(blobs[0], 50))
    assert "pass" not in capsys.readouterr().err


BAR = """
import numpy as np
from latentcore import GaussianMixture

pieces = np.random.default_rng(0).normal(size=(20, 100, 2))
GaussianMixture(1, verbose=1).fit(lambda: iter(pieces))
"""


@pytest.mark.long
def test_a_bar_on_a_terminal():
    reader, terminal = os.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    done = run_child([sys.executable, "-c", BAR], stderr=terminal, env=environment)
    assert done.returncode == 0
    os.close(terminal)
    shown = os.read(reader, 2**16).decode()
    os.close(reader)
    assert "pass 1" in shown
    assert "/2000" in shown
    assert "pass" not in done.stdout


MEMORY = """
import sys, warnings
import h5py, numpy as np
from latentcore import GaussianMixture
from latentcore.testing import peak_memory_mb

warnings.simplefilter("ignore")
with h5py.File(sys.argv[1]) as file:
    before = peak_memory_mb()
    GaussianMixture(4, max_iter=2, init_size=20_000, random_state=0).fit(file["x"])
    print(peak_memory_mb() - before)
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        samples = file.create_dataset("x", (3_000_000, 16), "f4")  # 192 MB
        random = np.random.default_rng(0)
        for begin in range(0, len(samples), 500_000):
            samples[begin : begin + 500_000] = random.standard_normal((500_000, 16), dtype=np.float32)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "x.h5")]
    done = run_child(command)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 170


def test_an_iterator_is_fitted_and_predicted(blobs):
    mixture = GaussianMixture(3, random_state=0)
    assert np.array_equal(mixture.fit_predict(iter(Pieces(blobs[0], 70))), mixture.predict(blobs[0]))
