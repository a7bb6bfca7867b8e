"""Priors of scikit-learn's mixtures: attributes that are no mixture's are refused, as `from_parameters` does."""

import numpy as np
import pytest
import sklearn.cluster
import sklearn.mixture
import torch
from sklearn.exceptions import NotFittedError

from latentcore.mixture import MixturePrior

TYPES = ("full", "tied", "diag", "spherical")


def fitted(blobs, kind="full", estimator=sklearn.mixture.GaussianMixture):
    return estimator(n_components=3, covariance_type=kind, random_state=0, max_iter=500).fit(blobs[0])


@pytest.mark.parametrize("kind", TYPES)
def test_another_estimator_of_mixtures(blobs, kind):
    mixture = fitted(blobs, kind, sklearn.mixture.BayesianGaussianMixture)
    mixture.weights_ = mixture.weights_.tolist()
    prior = MixturePrior.from_mixture(mixture)
    for name in ("weights", "means", "precisions_cholesky"):
        expected = torch.as_tensor(np.asarray(getattr(mixture, f"{name}_")))
        torch.testing.assert_close(getattr(prior, name).detach(), expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights_", [5.0, 2.0, 3.0], "weights_: expected numbers >= 0 that sum to 1"),
        ("weights_", [2.0, -0.5, -0.5], "weights_: expected numbers >= 0 that sum to 1"),
        ("weights_", [0.5, 0.5], r"weights_: expected shape \(3,\), got \(2,\)"),
        ("means_", np.zeros(3), r"means_: expected shape \(K, D\), got \(3,\)"),
        ("means_", np.full((3, 3), np.nan), "means_: expected finite numbers, got NaN or infinity"),
        ("means_", [["a"]], "means_: expected real numbers, got <U1"),
        ("precisions_cholesky_", -np.stack([np.eye(3)] * 3), "precisions_cholesky_: expected upper triangular"),
        ("precisions_cholesky_", np.ones((3, 3, 3)), "precisions_cholesky_: expected upper triangular"),
        ("precisions_cholesky_", np.eye(3), r"precisions_cholesky_: expected shape \(3, 3, 3\), got \(3, 3\)"),
        ("covariance_type", "diag", r"precisions_cholesky_: expected shape \(3, 3\), got \(3, 3, 3\)"),
        ("covariance_type", "round", r"covariance_type: expected one of 'full', .* got 'round'"),
    ],
)
def test_parameters_that_are_no_mixture(blobs, name, value, message):
    mixture = fitted(blobs)
    setattr(mixture, name, value)
    with pytest.raises((TypeError, ValueError), match=message):
        MixturePrior.from_mixture(mixture)


def test_factors_of_another_type_in_the_same_shape(blobs):
    mixture = fitted(blobs, "tied")
    mixture.covariance_type = "diag"  # three features, three components
    with pytest.raises(ValueError, match="precisions_cholesky_: expected positive numbers"):
        MixturePrior.from_mixture(mixture)


def test_other_estimators(blobs):
    with pytest.raises(NotFittedError, match="not fitted"):
        MixturePrior.from_mixture(sklearn.mixture.GaussianMixture())
    for other in (sklearn.cluster.KMeans(2).fit(blobs[0]), 3, None):
        with pytest.raises(TypeError, match=f"mixture: expected a fitted GaussianMixture.* got {type(other).__name__}"):
            MixturePrior.from_mixture(other)
