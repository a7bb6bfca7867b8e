"""Batches of mixtures: every one is what it would be alone."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from sklearn.exceptions import ConvergenceWarning

from latentcore.mixture import GaussianMixture, fit_many

TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", TYPES)
may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_cholesky_")


def groups(B=4, N=90, K=3, D=2, *, apart=10.0, seed=0):
    """Samples (B, N, D) of K groups each, at other places in every mixture."""
    random = np.random.default_rng(seed)
    centres = apart * np.stack([random.permutation(2 * K)[:K] for _ in range(B)])[..., None] + random.normal(
        size=(B, K, D)
    )
    which = random.permuted(np.broadcast_to(np.arange(N) % K, (B, N)), axis=1)
    scales = random.uniform(0.5, 1.5, size=(B, K, 1))
    noise = random.normal(size=(B, N, D)) * np.take_along_axis(scales, which[..., None], 1)
    return np.take_along_axis(centres, which[..., None], 1) + noise


def ordered(mixture):
    """Weights, means and per-component covariances in the order of the first coordinate."""
    order = mixture.means_[:, 0].argsort()
    covariances = mixture.covariances_ if mixture.covariance_type == "tied" else mixture.covariances_[order]
    return mixture.weights_[order], mixture.means_[order], covariances


@may_stop_early
@every_type
def test_equals_the_estimator_from_the_same_start(covariance_type):
    X = groups(apart=2.0)
    options = {"covariance_type": covariance_type, "tol": 1e-5, "max_iter": 40}
    starts = fit_many(X, 3, random_state=0, **{**options, "max_iter": 0})
    batch = fit_many(X, 3, random_state=0, **options)
    for b, alone in enumerate(starts):
        init = {"weights_init": alone.weights_, "means_init": alone.means_, "precisions_init": alone.precisions_}
        expected = GaussianMixture(3, **options, **init).fit(X[b])
        for name in PARAMETERS:
            np.testing.assert_allclose(getattr(batch, name)[b], getattr(expected, name), rtol=1e-8, atol=1e-10)
        assert batch.n_iter_[b] == expected.n_iter_ > 1
        assert batch.converged_[b] == expected.converged_
        assert batch.lower_bound_[b] == pytest.approx(expected.lower_bound_, rel=1e-12)
        np.testing.assert_allclose(batch[b].lower_bounds_, expected.lower_bounds_, rtol=1e-12)


@every_type
def test_finds_what_the_estimator_finds(covariance_type):
    X = groups(B=12)
    options = {"covariance_type": covariance_type, "tol": 1e-10, "max_iter": 500, "random_state": 1}
    for b, mixture in enumerate(fit_many(X, 3, **options)):
        expected = GaussianMixture(3, **options).fit(X[b])
        for actual, wanted in zip(ordered(mixture), ordered(expected), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-6, atol=1e-6)


@may_stop_early
@given(
    st.integers(0, 2**31),
    st.integers(1, 5),
    st.integers(0, 20),
    st.integers(0, 7),
    st.integers(1, 4),
    st.integers(1, 9),
    st.sampled_from(TYPES),
)
def test_weight_zero_leaves_samples_out(seed, B, more, padding, K, D, covariance_type):
    random = np.random.default_rng(seed)
    N = K + more
    X, weight = random.normal(size=(B, N, D)), random.uniform(0.5, 2, size=(B, N))
    places = np.sort(random.permuted(np.broadcast_to(np.arange(N + padding), (B, N + padding)), axis=1)[:, :N], axis=1)
    padded, padded_weight = np.full((B, N + padding, D), np.nan), np.zeros((B, N + padding))
    np.put_along_axis(padded, places[..., None], X, 1)
    np.put_along_axis(padded_weight, places, weight, 1)
    options = {"covariance_type": covariance_type, "max_iter": 5, "reg_covar": 0.05, "random_state": 0}
    expected = fit_many(X, K, sample_weight=weight, **options)
    actual = fit_many(padded, K, sample_weight=padded_weight, **options)
    for name in (*PARAMETERS, "lower_bound_"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(actual.weights_.sum(1), 1, rtol=1e-12)
    for criterion in ("score", "aic", "bic"):
        np.testing.assert_allclose(
            getattr(actual, criterion)(padded, sample_weight=padded_weight),
            getattr(expected, criterion)(X, sample_weight=weight),
            rtol=1e-6,
            atol=1e-6,
        )


def test_integer_weights_repeat_samples():
    X = groups(B=3, N=30)
    counts = np.tile([1, 2, 3], (3, 10))
    repeated = np.stack([np.repeat(x, count, axis=0) for x, count in zip(X, counts, strict=True)])
    weighted, plain = fit_many(X, 3, sample_weight=counts, random_state=0), fit_many(repeated, 3, random_state=0)
    for b in range(3):
        for actual, wanted in zip(ordered(weighted[b]), ordered(plain[b]), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-6)


def test_n_init_keeps_the_best_of_every_mixture():
    X, options = groups(B=12, N=60, K=5, apart=1.0), {"tol": 1e-2}
    random = np.random.RandomState(0)
    runs = [fit_many(X, 5, random_state=random, **options) for _ in range(4)]
    best = fit_many(X, 5, random_state=0, n_init=4, **options)
    bounds = np.stack([run.lower_bound_ for run in runs])
    assert len(set(bounds.argmax(0))) > 1
    np.testing.assert_array_equal(best.lower_bound_, bounds.max(0))
    for b, run in enumerate(bounds.argmax(0)):
        np.testing.assert_array_equal(best.means_[b], runs[run].means_[b])


@every_type
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_answers_in_the_callers_kind(covariance_type, kind, dtype):
    X = kind(groups().astype(dtype))
    batch = fit_many(X, 3, covariance_type=covariance_type, random_state=0)
    for name in PARAMETERS:
        assert type(getattr(batch, name)) is type(X)
        assert getattr(batch, name).dtype == X.dtype
    for answer in (batch.predict_proba(X), batch.score_samples(X)):
        assert type(answer) is type(X)
        assert answer.dtype == X.dtype
    for value in (batch.predict(X), batch.score(X), batch.bic(X), batch.converged_, batch.n_iter_, batch.lower_bound_):
        assert type(value) is type(X)
        assert len(value) == 4


def test_other_inputs_are_the_same_samples():
    X = groups().astype(np.float32)
    fixed = X.copy()
    fixed.flags.writeable = False
    expected = fit_many(X, 3, random_state=0).means_
    for same in (fixed, np.asfortranarray(X), X[::-1][::-1], torch.from_numpy(X).requires_grad_()):
        np.testing.assert_array_equal(fit_many(same, 3, random_state=0).means_, expected)
    assert fit_many(X.tolist(), 3).means_.dtype == np.float64
    assert fit_many((1000 * X).astype(int), 3).means_.dtype == np.float64
    assert fit_many(torch.from_numpy(X).half(), 3).means_.dtype == torch.float32


def test_random_state_decides():
    X = groups(B=20, K=4, apart=1.0)
    first, second, other = (fit_many(X, 4, random_state=seed).means_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@every_type
def test_one_of_the_batch_answers_as_the_batch(covariance_type):
    X = groups(apart=2.0).astype(np.float32)
    batch = fit_many(X, 3, covariance_type=covariance_type, tol=1e-2, random_state=0)
    assert len(batch) == len(list(batch)) == 4
    for b, mixture in enumerate(batch):
        np.testing.assert_array_equal(batch.predict(X)[b], mixture.predict(X[b]))
        np.testing.assert_allclose(batch.predict_proba(X)[b], mixture.predict_proba(X[b]), rtol=1e-6)
        np.testing.assert_allclose(batch.score_samples(X)[b], mixture.score_samples(X[b]), rtol=1e-6)
        for criterion in ("score", "aic", "bic"):
            assert getattr(batch, criterion)(X)[b] == pytest.approx(getattr(mixture, criterion)(X[b]), rel=1e-6)
        assert (mixture.n_iter_, mixture.converged_) == (batch.n_iter_[b], batch.converged_[b])
        assert len(mixture.lower_bounds_) == mixture.n_iter_
        assert mixture.lower_bounds_[-1] == mixture.lower_bound_ == batch.lower_bound_[b]
        assert mixture.sample(5)[0].shape == (5, 2)
    np.testing.assert_array_equal(batch[-1].means_, batch.means_[3])
    assert batch[0].get_params()["tol"] == 1e-2
    with pytest.raises(IndexError, match=r"expected a number in \[-4, 4\), got 4"):
        batch[4]
    assert "MixtureBatch of 4" in repr(batch)


def test_mixtures_that_cannot_go_on_are_reported():
    X = groups(B=3)
    X[1] = 7.0  # no variance
    with pytest.warns(ConvergenceWarning, match="1 of 3 mixtures"):
        batch = fit_many(X, 3, reg_covar=0.0, random_state=0)
    assert batch.converged_.tolist() == [True, False, True]
    assert np.isfinite(batch.means_).all()
    with pytest.warns(ConvergenceWarning, match="3 of 3 mixtures did not converge in 1 iterations"):
        fit_many(groups(B=3, apart=1.0), 3, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_many(X, 3, max_iter=0).lower_bound_.tolist() == [-np.inf] * 3


@every_type
def test_few_different_samples(covariance_type):
    X = np.repeat(groups(B=5, N=2), 6, axis=1)
    batch = fit_many(X, 4, covariance_type=covariance_type, max_iter=500, random_state=0)
    for name in PARAMETERS:
        assert np.isfinite(getattr(batch, name)).all()
    assert np.isfinite(batch.score(X)).all()


def test_a_group_of_one_sample_needs_no_regularisation_to_start():
    """Such a component starts as wide as the mixture; EM makes of it what it can."""
    X = groups(B=8, N=40, K=1)
    X[:, 0] += 60
    starts = fit_many(X, 2, reg_covar=0.0, max_iter=0, random_state=0)
    assert np.isfinite(starts.precisions_cholesky_).all()


def test_float32_far_from_the_origin():
    X = groups(B=6) + 3e4
    wide = fit_many(X.astype(np.float32).astype(float), 3, random_state=0)
    narrow = fit_many(X.astype(np.float32), 3, random_state=0)
    np.testing.assert_array_equal(narrow.predict(X.astype(np.float32)), wide.predict(X))
    np.testing.assert_allclose(narrow.covariances_, wide.covariances_, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"X": np.zeros((5, 2))}, ValueError, r"X: expected shape \(B, N, D\) .* got \(5, 2\)"),
        ({"X": np.zeros((0, 5, 2))}, ValueError, r"X: expected shape \(B, N, D\) .* got \(0, 5, 2\)"),
        ({"X": np.full((2, 5, 2), "a")}, TypeError, "X: expected .* real numbers, got <U1"),
        (
            {"X": torch.zeros(2, 5, 2, dtype=torch.complex64)},
            TypeError,
            "X: expected real numbers, got torch.complex64",
        ),
        (
            {"X": np.stack([np.zeros((5, 2)), np.full((5, 2), np.nan)])},
            ValueError,
            "X: .* NaN or infinity in mixture 1",
        ),
        ({"n_components": 10}, ValueError, "X: expected at least n_components = 10 samples of each mixture, got 9"),
        ({"n_components": 0}, ValueError, "n_components"),
        ({"covariance_type": "round"}, ValueError, "covariance_type"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"reg_covar": -1.0}, ValueError, "reg_covar"),
        ({"max_iter": -1}, ValueError, "max_iter"),
        ({"n_init": 0}, ValueError, "n_init"),
        ({"random_state": "seed"}, ValueError, "random_state"),
        ({"sample_weight": np.ones(9)}, ValueError, r"sample_weight: expected shape \(3, 9\), got \(9,\)"),
        ({"sample_weight": -np.eye(3, 9)}, ValueError, "sample_weight: expected finite numbers >= 0.* in mixture 0"),
        ({"sample_weight": np.tri(3, 9, 4)}, ValueError, "sample_weight: .*n_components = 6 .* got fewer in mixture 0"),
        ({"sample_weight": np.full((3, 9), 1j)}, TypeError, "sample_weight: expected real numbers"),
    ],
)
def test_bad_input(changes, error, message):
    arguments = {"X": groups(B=3, N=9), "n_components": 6, **changes}
    with pytest.raises(error, match=message):
        fit_many(**arguments)


def test_other_samples_have_to_fit_the_batch():
    batch = fit_many(groups(B=3), 3)
    assert batch.predict(groups(B=3, N=7)).shape == (3, 7)
    for X, got in ((groups(B=2), (2, 90, 2)), (groups(B=3, D=4), (3, 90, 4))):
        with pytest.raises(ValueError, match=rf"X: expected shape \(3, M, 2\), got \({', '.join(map(str, got))}\)"):
            batch.predict(X)
    with pytest.raises(ValueError, match="X: expected finite numbers, got NaN or infinity in mixture 0"):
        batch.score(np.full((3, 4, 2), np.inf))
