"""What the estimator has beyond scikit-learn's: priors, and components that get another place."""

import numpy as np
import pytest
import torch

from latentcore.mixture import GaussianMixture
from latentcore.mixture._priors import Priors

TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", TYPES)
may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def scale_of(covariance_type, D, value=1.0):
    return {"full": value * np.eye(D), "tied": value * np.eye(D), "diag": np.full(D, value), "spherical": value}[
        covariance_type
    ]


@may_stop_early
@every_type
def test_the_posterior_never_falls(blobs, covariance_type):
    X = blobs[0]
    options = {
        "weight_concentration_prior": 3.0,
        "degrees_of_freedom_prior": 8.0,
        "covariance_prior": scale_of(covariance_type, X.shape[1], 5.0),
    }
    mixture = GaussianMixture(5, covariance_type=covariance_type, random_state=0, tol=0, reg_covar=0, **options).fit(X)
    assert len(mixture.lower_bounds_) > 5
    assert np.diff(mixture.lower_bounds_).min() > -1e-12


@may_stop_early
@every_type
def test_the_fit_is_a_maximum_of_the_posterior(blobs, covariance_type):
    """No small change of the covariances or weights is more probable."""
    X = blobs[0]
    options = {"weight_concentration_prior": 30.0, "covariance_prior": scale_of(covariance_type, X.shape[1], 40.0)}
    mixture = GaussianMixture(
        2, covariance_type=covariance_type, random_state=0, tol=0, max_iter=500, reg_covar=0, **options
    ).fit(X)
    priors = Priors.checked(mixture, torch.device("cpu"))

    def posterior(weights, factors):
        mixture.weights_, mixture.precisions_cholesky_ = weights, factors
        return mixture.score(X) * len(X) + float(priors.log_density(mixture._parameters()))

    weights, factors = mixture.weights_.copy(), mixture.precisions_cholesky_.copy()
    best = posterior(weights, factors)
    assert best == pytest.approx(mixture.lower_bound_ * len(X), rel=1e-9)
    for change in (0.99, 1.01):
        assert posterior(weights, factors * change) < best
        other = weights * np.array([change, 1.0])
        assert posterior(other / other.sum(), factors) < best


@every_type
def test_strong_priors_decide(blobs, covariance_type):
    X = blobs[0]
    D, strength = X.shape[1], 1e9
    mixture = GaussianMixture(
        3,
        covariance_type=covariance_type,
        random_state=0,
        weight_concentration_prior=strength,
        degrees_of_freedom_prior=strength,
        covariance_prior=scale_of(covariance_type, D, 7 * strength),
    ).fit(X)
    np.testing.assert_allclose(mixture.weights_, 1 / 3, rtol=1e-5)
    expected = np.broadcast_to(scale_of(covariance_type, D, 7.0), mixture.covariances_.shape)
    np.testing.assert_allclose(mixture.covariances_, expected, rtol=1e-5, atol=1e-3)


@every_type
def test_a_concentration_below_1_empties_components(covariance_type):
    """As many as it likes; the bound stays finite and never falls."""
    emptied = 0
    for seed in range(8):
        random = np.random.default_rng(seed)
        X = np.concatenate([random.normal(size=(60, 2)), random.normal(size=(60, 2)) + 6])
        options = {"weight_concentration_prior": 0.01, "random_state": seed, "max_iter": 500}
        mixture = GaussianMixture(5, covariance_type=covariance_type, **options).fit(X)
        assert np.isfinite(mixture.lower_bounds_).all()
        assert np.diff(mixture.lower_bounds_).min() > -1e-9
        assert mixture.weights_.sum() == pytest.approx(1)
        emptied += int((mixture.weights_ < 1e-9).sum())
    assert emptied or covariance_type != "tied"


def test_components_that_start_empty_or_all_die_have_a_finite_bound(blobs):
    options = {"weight_concentration_prior": 0.01, "random_state": 0}
    empty = GaussianMixture(3, weights_init=[0.5, 0.5, 0.0], **options).fit(blobs[0])
    assert np.isfinite(empty.lower_bounds_).all()
    # all samples together weigh less than one: no component outweighs the prior
    light = GaussianMixture(3, **options).fit(blobs[0], sample_weight=1e-4)
    np.testing.assert_allclose(light.weights_, 1 / 3)
    assert np.isfinite(light.lower_bounds_).all()


def test_a_prior_keeps_components_from_collapsing():
    X = np.repeat(np.array([[0.0, 0.0], [1.0, 5.0]]), 20, axis=0)
    with pytest.raises(ValueError, match="collapsed"):
        GaussianMixture(2, reg_covar=0, random_state=0).fit(X)
    mixture = GaussianMixture(2, reg_covar=0, random_state=0, covariance_prior=0.01 * np.eye(2)).fit(X)
    assert np.linalg.eigvalsh(mixture.covariances_).min() > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degrees_of_freedom_prior": 3.0}, "covariance_prior: expected a covariance"),
        ({"covariance_prior": np.eye(3)}, r"covariance_prior: expected shape \(2, 2\)"),
        ({"covariance_prior": -np.eye(2)}, "covariance_prior: expected a symmetric, positive definite"),
        ({"covariance_prior": np.eye(2), "degrees_of_freedom_prior": 0.5}, "degrees_of_freedom_prior: expected"),
        ({"weight_concentration_prior": 0.0}, "weight_concentration_prior"),
        ({"reseed": 3}, "reseed"),
    ],
)
def test_bad_priors(blobs, options, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **options).fit(blobs[0][:, :2])


@every_type
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_dead_component_gets_another_place(covariance_type, kind):
    random = np.random.default_rng(0)
    X = kind(np.concatenate([random.normal(size=(100, 2)) + centre for centre in ([0, 0], [8, 0], [0, 8])]))
    options = {
        "covariance_type": covariance_type,
        "means_init": np.array([[0.0, 0.0], [8.0, 0.0], [1e4, 1e4]]),
        "precisions_init": {"full": np.stack([np.eye(2)] * 3), "tied": np.eye(2)}.get(
            covariance_type, np.ones((3, 2)) if covariance_type == "diag" else np.ones(3)
        ),
        "weights_init": np.full(3, 1 / 3),
        "max_iter": 300,
    }
    dead = GaussianMixture(3, **options).fit(X)
    assert float(np.min(np.asarray(dead.weights_))) < 1e-3
    alive = GaussianMixture(3, reseed=True, **options).fit(X)
    assert float(np.min(np.asarray(alive.weights_))) > 0.01
    assert alive.lower_bound_ > dead.lower_bound_ + 1e-3
    assert alive.n_iter_ == len(alive.lower_bounds_)
    assert alive.converged_


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("labels", ["none", "free", "per class"])
@every_type
def test_weights_are_repeated_rows_from_the_start_on(blobs, covariance_type, labels, gaps):
    X, groups = blobs
    X, times = X.copy(), np.arange(len(X)) * 7 % 4
    if gaps:
        X[np.random.default_rng(0).uniform(size=X.shape) < 0.2] = np.nan
    known = np.where(np.arange(len(X)) % 9 == 0, groups, -1)
    known[np.flatnonzero(times == 0)[0]] = 5  # a class of which no sample counts
    options = {"covariance_type": covariance_type, "missing": "marginalize" if gaps else "error", "random_state": 0}
    options |= {"n_components_per_class": 2} if labels == "per class" else {"n_components": 5}
    given = {} if labels == "none" else {"labels": known}
    weighted = GaussianMixture(**options).fit(X, sample_weight=times, **given)
    repeats = {} if labels == "none" else {"labels": np.repeat(known, times)}
    repeated = GaussianMixture(**options).fit(np.repeat(X, times, axis=0), **repeats)
    for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-7, atol=1e-8)
    for criterion in ("score", "aic", "bic", "icl"):
        found = getattr(weighted, criterion)(X, sample_weight=times)
        assert found == pytest.approx(getattr(repeated, criterion)(np.repeat(X, times, axis=0)), rel=1e-9)
