"""The unit of sample weights changes no mixture; with priors, a weight is a number of samples."""

import numpy as np
import pytest

from latentcore.mixture import GaussianMixture, fit_many

TYPES = ("full", "tied", "diag", "spherical")
SCALES = (1e-10, 1e-6, 1e8)
PARAMETERS = ("weights_", "means_", "covariances_", "lower_bounds_")
every_type = pytest.mark.parametrize("covariance_type", TYPES)
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])
may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_same(found, expected, dtype):
    rounding = 1e-4 if dtype == np.float32 else 1e-9
    for name in PARAMETERS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=rounding, atol=rounding / 10)


def pieces(X):
    return lambda: iter([X[:250], X[250:]])


WAYS = {
    "in memory": (lambda X: X, {}),
    "stream": (pieces, {}),
    "seeds": (lambda X: X, {"init_params": "k-means++"}),
    "random": (lambda X: X, {"init_params": "random"}),
    "gaps": (lambda X: np.where(np.random.default_rng(0).uniform(size=X.shape) < 0.1, np.nan, X), {}),
}


@may_stop_early
@every_type
@both_types
@pytest.mark.parametrize("way", WAYS)
def test_the_unit_of_weights_changes_nothing(blobs, covariance_type, dtype, way):
    given, options = WAYS[way]
    X, weight = given(blobs[0].astype(dtype)), np.random.default_rng(1).uniform(0.5, 2, len(blobs[0]))
    options = {
        "covariance_type": covariance_type,
        "random_state": 0,
        "max_iter": 20,
        "missing": "marginalize",
    } | options
    expected = GaussianMixture(3, **options).fit(X, sample_weight=weight)
    for scale in SCALES:
        assert_same(GaussianMixture(3, **options).fit(X, sample_weight=scale * weight), expected, dtype)


@every_type
@both_types
def test_equal_weights_are_none(blobs, covariance_type, dtype):
    X, options = blobs[0].astype(dtype), {"covariance_type": covariance_type, "random_state": 0}
    plain = GaussianMixture(3, **options).fit(X)
    for scale in SCALES:
        assert_same(GaussianMixture(3, **options).fit(X, sample_weight=np.full(len(X), scale)), plain, dtype)


@may_stop_early
@every_type
@both_types
def test_the_unit_of_weights_changes_no_batch_of_mixtures(blobs, covariance_type, dtype):
    X = np.stack([blobs[0][:200], blobs[0][200:400]]).astype(dtype)
    weight = np.random.default_rng(1).uniform(0.5, 2, X.shape[:2])
    weight[1, 150:] = 0
    options = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 20}
    expected = fit_many(X, 3, sample_weight=weight, **options)
    for scale in SCALES:
        found = fit_many(X, 3, sample_weight=weight * np.array([[scale], [1.0]]), **options)
        assert_same(found, expected, dtype)


@every_type
def test_the_unit_of_weights_changes_no_stepwise_fit(blobs, covariance_type):
    X, options = blobs[0].astype(np.float32), {"covariance_type": covariance_type, "random_state": 0}

    def learned(scale):
        mixture = GaussianMixture(3, **options)
        for batch in np.split(X, 4):
            mixture.partial_fit(batch, sample_weight=np.full(len(batch), scale))
        return mixture

    expected = learned(1.0)
    for scale in SCALES:
        assert_same(learned(scale), expected, np.float32)


@may_stop_early
def test_the_unit_of_weights_does_not_say_which_components_are_dead(blobs):
    options = {"n_components": 8, "reseed": True, "random_state": 1, "tol": 1e-6, "max_iter": 300}
    expected = GaussianMixture(**options).fit(blobs[0])
    for scale in SCALES:
        found = GaussianMixture(**options).fit(blobs[0], sample_weight=np.full(len(blobs[0]), scale))
        assert found.n_iter_ == expected.n_iter_
        assert_same(found, expected, np.float64)


def test_the_unit_of_weights_does_not_change_classes(blobs):
    X, labels = blobs[0], np.where(np.arange(len(blobs[0])) % 10 == 0, blobs[1], -1)
    expected = GaussianMixture(5, random_state=0).fit(X, labels=labels).component_label_proba_
    for scale in SCALES:
        weighted = GaussianMixture(5, random_state=0).fit(X, labels=labels, sample_weight=np.full(len(X), scale))
        np.testing.assert_allclose(weighted.component_label_proba_, expected, atol=2e-6)


def test_beside_priors_weights_are_numbers_of_samples(blobs):
    X, prior = blobs[0], {"covariance_prior": np.eye(3), "weight_concentration_prior": 5.0}
    weighted, repeated = (
        GaussianMixture(3, random_state=0, **prior).fit(*given[:1], sample_weight=given[1])
        for given in ((X, np.full(len(X), 3.0)), (np.repeat(X, 3, axis=0), None))
    )
    assert_same(weighted, repeated, np.float64)
    light = GaussianMixture(3, random_state=0, **prior).fit(X, sample_weight=np.full(len(X), 1e-3))
    np.testing.assert_allclose(light.weights_, 1 / 3, atol=0.05)
