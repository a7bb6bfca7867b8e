"""`partial_fit`: what is learned from batches that come one by one."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from latentcore.mixture import GaussianMixture, load_mixture, save_mixture

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


@every_type
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_batches_reach_the_fit(covariance_type, dtype):
    random = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [6, 0], [0, 6]])
    X = (centres[random.integers(0, 3, 30_000)] + random.normal(size=(30_000, 2))).astype(dtype)
    whole = GaussianMixture(3, covariance_type=covariance_type, tol=1e-7, random_state=0).fit(X)
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    for batch in np.split(X, 100):
        mixture.partial_fit(batch)
    assert (mixture.n_iter_, mixture.n_samples_seen_) == (100, 30_000)
    assert mixture.means_.dtype == dtype
    assert mixture.score(X) > whole.score(X) - 2e-3
    assert len(mixture.lower_bounds_) == 100


@given(st.integers(1, 5), st.integers(3, 20), st.sampled_from(COVARIANCE_TYPES), st.booleans(), st.integers(0, 2**31))
def test_one_component_that_forgets_nothing_has_the_moments_of_all(batches, size, covariance_type, weighted, seed):
    random = np.random.default_rng(seed)
    X = random.normal(scale=3, size=(batches, size, 2)) + 100
    weight = random.uniform(0.1, 2, (batches, size)) if weighted else np.ones((batches, size))
    weight /= weight.mean(1, keepdims=True)  # batches that count alike
    options = {"covariance_type": covariance_type, "learning_decay": 1.0, "learning_offset": 1.0, "reg_covar": 0.0}
    mixture = GaussianMixture(1, **options)
    for batch, w in zip(X, weight, strict=True):
        mixture.partial_fit(batch, sample_weight=w if weighted else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = GaussianMixture(1, **options).fit(X.reshape(-1, 2), sample_weight=weight.ravel())
    np.testing.assert_allclose(mixture.means_, whole.means_, rtol=1e-9)
    np.testing.assert_allclose(mixture.covariances_, whole.covariances_, rtol=1e-7, atol=1e-9)


@every_type
@pytest.mark.parametrize("through_file", [False, True])
def test_it_goes_on_from_a_fit(blobs, tmp_path, covariance_type, through_file):
    X = blobs[0]
    mixture = GaussianMixture(3, covariance_type=covariance_type, tol=1e-8, max_iter=500, random_state=0).fit(X)
    before = mixture.score(X)
    if through_file:
        save_mixture(tmp_path / "mixture.pt", mixture)
        mixture = load_mixture(tmp_path / "mixture.pt")
    for _ in range(10):
        mixture.partial_fit(X)
    # the fit is where all statistics already agree
    assert mixture.score(X) == pytest.approx(before, abs=1e-5)


@every_type
def test_reg_covar_counts_once(blobs, covariance_type):
    options = {"reg_covar": 1.0, "learning_decay": 1.0, "learning_offset": 1.0, "covariance_type": covariance_type}
    mixture = GaussianMixture(1, **options).fit(blobs[0])
    before = mixture.covariances_
    np.testing.assert_allclose(mixture.partial_fit(blobs[0]).covariances_, before, rtol=1e-9, atol=1e-9)


def test_a_batch_out_of_a_file(blobs, tmp_path):
    np.save(tmp_path / "x.npy", blobs[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found, expected = (GaussianMixture(3, random_state=0).partial_fit(X[:100]) for X in (mapped, blobs[0]))
    assert np.array_equal(found.means_, expected.means_)


def test_what_is_no_batch(blobs):
    with pytest.raises(TypeError, match="X: expected an array or tensor"):
        GaussianMixture(2).partial_fit(iter([blobs[0]]))
    with pytest.raises(ValueError, match="n_components_per_class: expected None"):
        GaussianMixture(n_components_per_class=2).partial_fit(blobs[0])


def test_the_newest_batches_count_most():
    random = np.random.default_rng(0)
    mixture = GaussianMixture(1, learning_decay=0.6)
    for place in [0.0] * 20 + [10.0] * 60:
        mixture.partial_fit(random.normal(place, 1, (50, 1)))
    assert mixture.means_[0, 0] > 9


def test_a_batch_of_one_and_of_a_class_that_is_not_there(blobs):
    X, groups = blobs
    mixture = GaussianMixture(3, random_state=0).partial_fit(X)
    mixture.partial_fit(X[:1])
    for _ in range(20):
        mixture.partial_fit(X[groups == 0][:50])
    assert np.isfinite(mixture.covariances_).all()
    assert mixture.weights_.sum() == pytest.approx(1)


def test_tensors_priors_and_gaps(blobs):
    X = blobs[0].copy()
    X[::7, 1] = np.nan
    mixture = GaussianMixture(3, missing="marginalize", weight_concentration_prior=50.0, random_state=0)
    for batch in torch.from_numpy(X).split(100):
        mixture.partial_fit(batch)
    assert isinstance(mixture.means_, torch.Tensor)
    assert bool(mixture.means_.isfinite().all())
    assert float(mixture.weights_.min()) > 0.2


def test_a_fit_forgets_the_batches(blobs):
    X = blobs[0]
    mixture = GaussianMixture(3, random_state=0).partial_fit(X[:100] + 50)
    expected = GaussianMixture(3, random_state=0).fit(X)
    assert np.array_equal(mixture.fit(X).means_, expected.means_)
    assert np.array_equal(mixture.partial_fit(X).means_, expected.partial_fit(X).means_)


def test_errors_leave_the_mixture_as_it_was(blobs):
    X = blobs[0]
    with pytest.raises(ValueError, match="at least n_components = 5 samples, got 3"):
        GaussianMixture(5).partial_fit(X[:3])
    mixture = GaussianMixture(2, random_state=0).partial_fit(X)
    before = mixture.means_.copy()
    for bad in (np.full((4, 3), np.nan), np.zeros((4, 2))):
        with pytest.raises(ValueError, match="X"):
            mixture.partial_fit(bad)
    with pytest.raises(ValueError, match="sample_weight: expected"):
        mixture.partial_fit(X, sample_weight=np.ones(3))
    assert np.array_equal(mixture.means_, before)
    assert mixture.n_iter_ == 1


@pytest.mark.parametrize("bad", [{"learning_decay": 0.4}, {"learning_decay": 1.1}, {"learning_offset": 0.5}])
def test_bad_rates(blobs, bad):
    with pytest.raises(ValueError, match=f"'{next(iter(bad))}' parameter of GaussianMixture must be"):
        GaussianMixture(2, **bad).partial_fit(blobs[0])
