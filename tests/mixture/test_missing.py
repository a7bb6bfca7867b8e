"""Missing values: every sample by the likelihood of what it has, computed directly."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentcore.mixture import GaussianMixture
from latentcore.mixture.missing import Incomplete
from latentcore.reference import MixtureParameters, covariance_shape, precisions_cholesky_of

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@parametrize_with_checks([GaussianMixture(missing="marginalize")])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def mixture_of(random, K, D, covariance_type):
    factors = random.normal(size=(K, D, D))
    full = factors @ factors.swapaxes(1, 2) + 0.3 * np.eye(D)
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": np.diagonal(full, axis1=1, axis2=2),
        "spherical": full[:, 0, 0],
    }[covariance_type]
    assert covariances.shape == covariance_shape(K, D, covariance_type)
    tensors = map(torch.tensor, (random.dirichlet(np.ones(K)), random.normal(size=(K, D)), covariances))
    weights, means, sigma = tensors
    return MixtureParameters(weights, means, sigma, precisions_cholesky_of(sigma, covariance_type))


def matrix(parameters, k, covariance_type):
    D = parameters.means.shape[1]
    covariances = parameters.covariances.numpy()
    return {
        "full": lambda: covariances[k],
        "tied": lambda: covariances,
        "diag": lambda: np.diag(covariances[k]),
        "spherical": lambda: covariances[k] * np.eye(D),
    }[covariance_type]()


def directly(x, weight, parameters, covariance_type):
    """Log-likelihoods, responsibilities and completed moments, sample by sample and component by component."""
    N, D = x.shape
    K = len(parameters.weights)
    log_joint = np.tile(np.log(parameters.weights.numpy()), (N, 1))
    shifts, spreads = np.zeros((N, K, D)), np.zeros((N, K, D, D))
    for k in range(K):
        mean, covariance = parameters.means[k].numpy(), matrix(parameters, k, covariance_type)
        for n in range(N):
            o = ~np.isnan(x[n])
            if not o.any():
                spreads[n, k] = covariance
                continue
            log_joint[n, k] += multivariate_normal(mean[o], covariance[np.ix_(o, o)]).logpdf(x[n, o])
            gain = covariance[:, o] @ np.linalg.inv(covariance[np.ix_(o, o)])
            shifts[n, k] = gain @ (x[n, o] - mean[o])
            spreads[n, k] = covariance - gain @ covariance[o]
    log_likelihood = np.logaddexp.reduce(log_joint, axis=1)
    resp = np.exp(log_joint - log_likelihood[:, None])
    weighted = weight[:, None] * resp
    first = np.einsum("nk,nkd->kd", weighted, shifts)
    second = np.einsum("nk,nkde->kde", weighted, np.einsum("nkd,nke->nkde", shifts, shifts) + spreads)
    second = {
        "full": lambda: second,
        "tied": lambda: second.sum(0),
        "diag": lambda: np.diagonal(second, axis1=1, axis2=2),
        "spherical": lambda: np.trace(second, axis1=1, axis2=2),
    }[covariance_type]()
    return log_likelihood, resp, (weight @ log_likelihood, weighted.sum(0), first, second)


@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(1, 4),
    st.sampled_from(COVARIANCE_TYPES),
    st.floats(0, 1),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_each_pattern_has_its_own_likelihood_and_moments(N, D, K, covariance_type, share, weighted, seed):
    random = np.random.default_rng(seed)
    parameters = mixture_of(random, K, D, covariance_type)
    x = random.normal(scale=2, size=(N, D))
    x[random.uniform(size=x.shape) < share] = np.nan
    weight = random.uniform(0, 2, N) if weighted else np.ones(N)
    batch = Incomplete(torch.from_numpy(x), torch.from_numpy(weight) if weighted else None)
    log_likelihood, resp, statistics = directly(x, weight, parameters, covariance_type)
    found, log_resp = batch.e_step(parameters, covariance_type)
    np.testing.assert_allclose(found, log_likelihood, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log_resp.exp(), resp, rtol=1e-8, atol=1e-12)
    restarts = MixtureParameters(*(torch.stack([value, value]) for value in parameters))
    for value, expected in zip(batch.statistics(restarts, covariance_type), statistics, strict=True):
        for restart in value:
            np.testing.assert_allclose(restart, expected, rtol=1e-8, atol=1e-8)


def test_more_features_than_bits_in_a_word():
    random = np.random.default_rng(0)
    parameters = mixture_of(random, 2, 70, "diag")
    x = random.normal(size=(30, 70))
    x[random.uniform(size=x.shape) < 0.5] = np.nan
    expected = directly(x, np.ones(30), parameters, "diag")[0]
    np.testing.assert_allclose(Incomplete(torch.from_numpy(x)).e_step(parameters, "diag")[0], expected, rtol=1e-9)


def with_gaps(X, share=0.25, seed=1):
    X = X.copy()
    X[np.random.default_rng(seed).uniform(size=X.shape) < share] = np.nan
    return X


@may_stop_early
@every_type
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_likelihood_of_what_is_there_never_falls(blobs, covariance_type, dtype):
    X = with_gaps(blobs[0]).astype(dtype)
    options = {"covariance_type": covariance_type, "missing": "marginalize", "random_state": 0}
    mixture = GaussianMixture(3, tol=1e-9, max_iter=40, **options).fit(X)
    rounding = 1e-12 if dtype == np.float64 else 3e-6
    assert np.diff(mixture.lower_bounds_).min() > -rounding - 1e-7
    assert mixture.score(X) == pytest.approx(mixture.lower_bound_, abs=1e-3)
    assert mixture.means_.dtype == dtype


@every_type
def test_without_gaps_it_is_the_ordinary_fit(blobs, covariance_type):
    options = {"covariance_type": covariance_type, "random_state": 0}
    plain = GaussianMixture(3, **options).fit(blobs[0])
    same = GaussianMixture(3, missing="marginalize", **options).fit(blobs[0])
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        assert np.array_equal(getattr(same, name), getattr(plain, name))


def test_most_of_what_is_lost_is_found_again(blobs):
    X = blobs[0]
    complete = GaussianMixture(3, random_state=0).fit(X)
    gaps = GaussianMixture(3, random_state=0, missing="marginalize", tol=1e-6, max_iter=300).fit(with_gaps(X))
    order = [int(np.square(complete.means_ - mean).sum(1).argmin()) for mean in gaps.means_]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(gaps.means_, complete.means_[order], atol=0.35)
    assert gaps.score(X) > complete.score(X) - 0.05


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_predictions_with_gaps(blobs, kind):
    X = with_gaps(blobs[0])
    X[0] = np.nan
    mixture = GaussianMixture(3, random_state=0, missing="marginalize").fit(kind(X))
    proba = np.asarray(mixture.predict_proba(kind(X)))
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-9)
    np.testing.assert_allclose(proba[0], np.asarray(mixture.weights_))
    assert float(mixture.score_samples(kind(X))[0]) == 0
    assert np.array_equal(np.asarray(mixture.predict(kind(X))), proba.argmax(1))
    assert mixture.score(kind(X)) == pytest.approx(float(np.asarray(mixture.score_samples(kind(X))).mean()))


def test_weights_count_samples_with_gaps_so_many_times(blobs):
    X, times = with_gaps(blobs[0]), np.arange(600) % 3
    start = {"weights_init": [0.5, 0.5], "means_init": blobs[0][:2], "precisions_init": np.stack([np.eye(3)] * 2)}
    weighted = GaussianMixture(2, missing="marginalize", **start).fit(X, sample_weight=times)
    repeated = GaussianMixture(2, missing="marginalize", **start).fit(np.repeat(X, times, axis=0))
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-8, atol=1e-10)


def variances(mixture):
    """(K, D)."""
    D = mixture.means_.shape[1]
    covariances = mixture.covariances_
    return {
        "full": lambda: np.diagonal(covariances, axis1=1, axis2=2),
        "tied": lambda: np.diag(covariances)[None],
        "diag": lambda: covariances,
        "spherical": lambda: covariances[:, None].repeat(D, axis=1),
    }[mixture.covariance_type]()


@may_stop_early
@every_type
@pytest.mark.parametrize("tol", [1e-3, 0])
def test_gaps_do_not_gather_what_is_added_to_variances(covariance_type, tol):
    """Nine values in ten are missing: one Gaussian has the variances of the others, and reg_covar once."""
    X = with_gaps(1.05 * np.random.default_rng(0).normal(size=(1000, 10)), share=0.9)
    options = {"covariance_type": covariance_type, "reg_covar": 0.1, "missing": "marginalize", "tol": tol}
    mixture = GaussianMixture(1, max_iter=10, **options).fit(X)
    observed = np.nanvar(X, axis=0)
    if covariance_type == "spherical":  # the mean over all values, not over the features
        observed = np.average(observed, weights=(~np.isnan(X)).sum(0))
    # of "full" and "tied" the few pairs of observed values say something of the variances too
    few = 1e-6 if covariance_type in ("diag", "spherical") else 0.01
    np.testing.assert_allclose(variances(mixture)[0], observed + 0.1, rtol=few)
    assert np.diff(mixture.lower_bounds_).min() > -1e-9


@may_stop_early
@every_type
def test_the_likelihood_does_not_fall_beside_a_great_reg_covar(blobs, covariance_type):
    options = {"covariance_type": covariance_type, "reg_covar": 0.1, "missing": "marginalize", "random_state": 0}
    mixture = GaussianMixture(3, tol=1e-9, max_iter=30, **options).fit(with_gaps(blobs[0], share=0.5))
    assert np.diff(mixture.lower_bounds_).min() > -1e-9


@may_stop_early
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_correlated_features_get_reg_covar_once(covariance_type):
    """As if noise of that variance were added to what is observed."""
    random = np.random.default_rng(0)
    X = with_gaps(random.normal(size=(2000, 2)) @ random.normal(size=(2, 3)) + random.normal(size=(2000, 3)), 0.4)
    options = {"covariance_type": covariance_type, "missing": "marginalize", "tol": 1e-9, "max_iter": 300}
    noisy = GaussianMixture(1, reg_covar=0, **options).fit(X + 0.7 * random.normal(size=X.shape))
    mixture = GaussianMixture(1, reg_covar=0.49, **options).fit(X)
    np.testing.assert_allclose(mixture.covariances_, noisy.covariances_, rtol=0.05, atol=0.08)


def test_errors(blobs):
    X = with_gaps(blobs[0])
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(2).fit(X)
    with pytest.raises(ValueError, match="NaN or infinity in sample"):
        GaussianMixture(2).fit(torch.from_numpy(X))
    X[5, 0] = np.inf
    with pytest.raises(ValueError, match="infinity in sample 5"):
        GaussianMixture(2, missing="marginalize").fit(torch.from_numpy(X))
    X[:, 1] = np.nan
    X[5, 0] = 0
    with pytest.raises(ValueError, match="X: expected a value in every feature, got none in feature 1"):
        GaussianMixture(2, missing="marginalize").fit(X)
    with pytest.raises(ValueError, match="'missing' parameter of GaussianMixture must be"):
        GaussianMixture(2, missing="impute").fit(blobs[0])


def test_clones_keep_the_option():
    with warnings.catch_warnings():
        assert clone(GaussianMixture(missing="marginalize")).missing == "marginalize"
