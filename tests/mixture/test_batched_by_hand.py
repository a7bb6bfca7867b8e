"""Batches of mixtures whose parameters were edited, or set as lists: all answers go by what they say."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch

from latentcore.mixture import MixtureBatch, fit_many

TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", TYPES)
every_kind = pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, np.ndarray.tolist], ids=["a", "t", "list"])
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_cholesky_")
FIGURES = ("converged_", "n_iter_", "lower_bound_", "lower_bounds_")
ANSWERS = ("predict", "predict_proba", "score_samples", "score", "aic", "bic")


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0].reshape(3, 200, 3)


def fitted(X, covariance_type="full"):
    return fit_many(X, 2, covariance_type=covariance_type, tol=1e-2, random_state=0)


def agrees(batch, X):
    """The batch answers as its mixtures, taken alone, whose parameters are edited likewise."""
    for b, alone in enumerate(batch):
        for answer in ANSWERS:
            found, expected = np.asarray(getattr(batch, answer)(X))[b], np.asarray(getattr(alone, answer)(X[b]))
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@every_type
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("name", PARAMETERS[:3])
def test_edits_in_place(X, covariance_type, kind, name):
    batch, plain = fitted(kind(X), covariance_type), fitted(X, covariance_type)
    before = batch.score(X)
    values = getattr(batch, name)
    values[1] = values[1][[1, 0]] if name == "weights_" else 2 * values[1]
    after, expected = batch.score(X), [alone.score(x) for alone, x in zip(plain, X, strict=True)]
    assert abs(after[1] - before[1]) > 1e-3
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], rtol=1e-12)
    alone = plain[1]
    setattr(alone, name, np.asarray(values[1]))
    expected[1] = alone.score(X[1])
    np.testing.assert_allclose(after, expected, rtol=1e-9)
    agrees(batch, X)


@every_type
@every_kind
def test_parameters_as_lists(X, covariance_type, kind):
    batch = fitted(X, covariance_type)
    given = {name: kind(getattr(batch, name)) for name in PARAMETERS}
    figures = {name: kind(getattr(batch, name)) for name in FIGURES}
    replaced = dataclasses.replace(batch, **given, **figures)
    built = MixtureBatch(batch.options, **given, **figures)
    for same in (replaced, built, pickle.loads(pickle.dumps(built))):
        assert len(same) == 3
        for answer in ANSWERS:
            np.testing.assert_allclose(getattr(same, answer)(X), getattr(batch, answer)(X), rtol=1e-12, atol=1e-14)
        assert same[-1].lower_bounds_ == batch[-1].lower_bounds_
        assert (same[1].n_iter_, same[1].converged_) == (batch[1].n_iter_, batch[1].converged_)
        agrees(same, X)


@every_type
def test_the_newer_of_covariances_and_factors_counts(X, covariance_type):
    batch = fitted(X, covariance_type)
    wide = dataclasses.replace(batch, covariances_=4 * batch.covariances_)
    both = dataclasses.replace(
        batch, covariances_=9 * batch.covariances_, precisions_cholesky_=batch.precisions_cholesky_ / 2
    )
    assert (wide.score(X) != batch.score(X)).all()
    np.testing.assert_allclose(both.score(X), wide.score(X), rtol=1e-9)
    np.testing.assert_allclose(both[0].covariances_, wide[0].covariances_, rtol=1e-9, atol=1e-12)
    agrees(wide, X)


def test_weights_are_divided_by_their_sum(X):
    batch = fitted(X)
    near = dataclasses.replace(batch, weights_=1.0005 * batch.weights_)
    np.testing.assert_allclose(near.score(X), batch.score(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("covariance_type", "name", "change", "message"),
    [
        ("full", "weights_", lambda w: 2 * w, "weights_: expected numbers >= 0 that sum to 1, got others in mixture 0"),
        ("full", "weights_", lambda w: w[:2], r"weights_: expected shape \(3, 2\), got \(2, 2\)"),
        ("full", "means_", lambda m: m[0], r"means_: expected shape \(B, K, D\), got \(2, 3\)"),
        (
            "full",
            "means_",
            lambda m: m * np.array([1, np.nan, 1])[:, None, None],
            "means_: .* NaN or infinity in mixture 1",
        ),
        ("full", "means_", lambda m: m.astype(str), "means_: expected real numbers, got <U"),
        ("full", "covariances_", lambda c: -c, "covariances_: expected symmetric, positive definite .* in mixture 0"),
        (
            "full",
            "covariances_",
            lambda c: c + np.triu(np.ones((3, 3)), 1),
            "covariances_: expected symmetric, positive",
        ),
        ("tied", "covariances_", lambda c: c[:, None], r"covariances_: expected shape \(3, 3, 3\), got \(3, 1, 3, 3\)"),
        ("diag", "covariances_", lambda c: 0 * c, "covariances_: expected positive numbers, got others in mixture 0"),
        ("full", "precisions_cholesky_", lambda f: f + 1, "precisions_cholesky_: expected upper triangular matrices"),
        ("diag", "precisions_cholesky_", lambda f: -f, "precisions_cholesky_: expected positive numbers"),
    ],
)
def test_edits_that_are_no_mixtures(X, covariance_type, name, change, message):
    batch = fitted(X, covariance_type)
    wrong = dataclasses.replace(batch, **{name: change(getattr(batch, name))})
    with pytest.raises((TypeError, ValueError), match=message):
        wrong.score(X)


def test_each_mixture_goes_by_its_own_newer_parameter(X):
    batch = fitted(X)
    covariances, factors = batch.covariances_.copy(), batch.precisions_cholesky_.copy()
    covariances[0] *= 4
    factors[1] *= 0.5
    edited = dataclasses.replace(batch, covariances_=covariances, precisions_cholesky_=factors)
    agrees(edited, X)
    scores = edited.score(X)
    assert scores[0] != pytest.approx(batch.score(X)[0])
    assert scores[1] != pytest.approx(batch.score(X)[1])
    assert scores[2] == batch.score(X)[2]  # to the bit: nobody touched it


@pytest.mark.parametrize("name", PARAMETERS[1:])
def test_edits_in_another_order_of_memory(X, name):
    batch = fitted(X)
    value = 1.1 * getattr(batch, name)
    expected = dataclasses.replace(batch, **{name: value}).score(X)
    found = dataclasses.replace(batch, **{name: np.asfortranarray(value)}).score(X)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
