"""Sample weights beyond what float32 holds: without priors their unit changes no mixture, whatever it is."""

import numpy as np
import pytest
import torch
from tests.mixture.test_weight_scale import WAYS, assert_same, may_stop_early

from latentcore.mixture import GaussianMixture, fit_many

SCALES = (1e-195, 1e-50, 1e-44, 1e-13, 1e13, 1e30, 1e39, 1e195)
TYPES = ("full", "tied", "diag", "spherical")
both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(name="weight")
def weights(blobs):
    weight = np.random.default_rng(1).uniform(0.5, 2, len(blobs[0]))
    weight[::50] = 0
    return weight


@may_stop_early
@both_types
@pytest.mark.parametrize("way", [*WAYS, "drawn", "restarts on a part", "reseeded"])
def test_the_unit_of_weights_changes_nothing(blobs, weight, dtype, way):
    of_way = {
        "drawn": (lambda X: X, {"init_params": "random_from_data"}),
        "restarts on a part": (lambda X: X, {"init_size": 200, "n_init": 2}),
        "reseeded": (lambda X: X, {"reseed": True, "init_params": "random", "tol": 0.0}),
    }
    given, options = (WAYS | of_way)[way]
    X = given(blobs[0].astype(dtype))
    for scale, kind in zip(SCALES, 2 * TYPES, strict=True):
        shared = {"covariance_type": kind, "random_state": 0, "max_iter": 12, "missing": "marginalize"} | options
        expected = GaussianMixture(3, **shared).fit(X, sample_weight=weight)
        found = GaussianMixture(3, **shared).fit(X, sample_weight=scale * weight)
        assert_same(found, expected, dtype)
        assert found.n_samples_seen_ == pytest.approx(scale * weight.sum(), rel=1e-12)
        assert found.score(X, sample_weight=scale * weight) == pytest.approx(found.score(X, sample_weight=weight))


@may_stop_early
@pytest.mark.parametrize("options", [{}, {"n_components": 3, "n_components_per_class": 1}])
def test_labels_beside_them(blobs, weight, options):
    labels = np.where(np.arange(len(blobs[0])) % 7 == 0, blobs[1], -1)
    options = {"n_components": 5, "random_state": 0, "max_iter": 10} | options
    for X in (blobs[0].astype(np.float32), lambda: iter(np.array_split(blobs[0].astype(np.float32), 3))):
        expected = GaussianMixture(**options).fit(X, labels=labels, sample_weight=weight)
        for scale in SCALES:
            found = GaussianMixture(**options).fit(X, labels=labels, sample_weight=scale * weight)
            assert_same(found, expected, np.float32)
            np.testing.assert_allclose(found.component_label_proba_, expected.component_label_proba_, atol=1e-5)


@may_stop_early
def test_batches_that_come_one_by_one(blobs, weight):
    X, expected = blobs[0].astype(np.float32), GaussianMixture(3, random_state=0)
    for part in np.array_split(np.arange(len(X)), 3):
        expected.partial_fit(X[part], sample_weight=weight[part])
    for scale in SCALES:
        found = GaussianMixture(3, random_state=0)
        for part in np.array_split(np.arange(len(X)), 3):
            found.partial_fit(X[part], sample_weight=scale * weight[part])
        assert_same(found, expected, np.float32)


@may_stop_early
@both_types
def test_many_mixtures(blobs, weight, dtype):
    X, weight = blobs[0].reshape(3, 200, 3).astype(dtype), weight.reshape(3, 200)
    expected = fit_many(X, 3, random_state=0, sample_weight=weight)
    scale = np.array(SCALES[:6]).reshape(2, 3, 1)
    for found, factor in ((fit_many(X, 3, random_state=0, sample_weight=one * weight), one) for one in scale):
        assert_same(found, expected, dtype)
        scores = (batch.score(X, sample_weight=factor * weight) for batch in (found, expected))
        np.testing.assert_allclose(*scores, rtol=1e-5)
    # a criterion counts the samples
    alone = expected[0].bic(X[0], sample_weight=1e39 * weight[0])
    assert expected.bic(X, sample_weight=1e39 * weight)[0] == pytest.approx(alone, rel=1e-6)


def test_weights_of_very_different_size(blobs):
    """float32 has no number for the least of them beside the greatest: they count as good as nothing, but are there."""
    X, weight = blobs[0].astype(np.float32), np.full(600, 1e-60)
    weight[:300] = 1
    expected = GaussianMixture(3, random_state=0).fit(X[:300])
    found = GaussianMixture(3, random_state=0, init_params="random_from_data").fit(X, sample_weight=weight)
    assert found.score(X[:300]) == pytest.approx(expected.score(X[:300]), abs=0.05)
    few = np.where(np.arange(600) == 0, 1.0, 1e-60)
    GaussianMixture(2, random_state=0, init_params="random_from_data").fit(X, sample_weight=few)


@may_stop_early
@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1e3, 1e20])
def test_beside_priors_weights_are_numbers_of_samples(blobs, weight, scale):
    options = {"covariance_prior": 4 * np.eye(3), "weight_concentration_prior": 5.0, "random_state": 0, "tol": 1e-6}
    wide = GaussianMixture(3, max_iter=300, **options).fit(blobs[0], sample_weight=scale * weight)
    narrow = GaussianMixture(3, max_iter=300, **options).fit(blobs[0].astype(np.float32), sample_weight=scale * weight)
    order = (mixture.means_[:, 0].argsort() for mixture in (wide, narrow))
    covariances = (mixture.covariances_[places] for mixture, places in zip((wide, narrow), order, strict=True))
    np.testing.assert_allclose(*covariances, rtol=5e-2, atol=1e-2)


@pytest.mark.parametrize("scale", [1e-201, 1e-310, 1e201, 1e300])
@both_types
def test_weights_that_nobody_can_mean(blobs, weight, dtype, scale):
    X, message = blobs[0].astype(dtype), "sample_weight: expected numbers >= 0 of which the greatest is from 1e-200 to"
    for data in (X, lambda: iter([X])):
        with pytest.raises(ValueError, match=message):
            GaussianMixture(2).fit(data, sample_weight=scale * weight)
    with pytest.raises(ValueError, match=f"{message}.* mixture 0"):
        fit_many(X.reshape(3, 200, 3), 2, sample_weight=scale * weight.reshape(3, 200))


@may_stop_early
def test_ordinary_weights_are_used_as_they_are(blobs, weight):
    """To the last digit: a power of two for a unit, and none where float32 has room."""
    X = blobs[0].astype(np.float32)
    options = {"random_state": 0, "max_iter": 10}
    fits = (
        GaussianMixture(3, **options).fit(X, sample_weight=2.0**k * weight.astype(np.float32)) for k in (0, 30, -30)
    )
    first, *others = fits
    for other in others:
        assert_same(other, first, np.float64)
    tensors = GaussianMixture(3, **options).fit(torch.from_numpy(X), sample_weight=torch.from_numpy(2.0**90 * weight))
    assert_same(tensors, first, np.float32)
