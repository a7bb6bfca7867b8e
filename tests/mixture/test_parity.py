"""A hundred iterations on twenty data sets end where scikit-learn's end; each data set with two types, or with all."""

import numpy as np
import pytest
import sklearn.mixture

from latentcore.mixture import GaussianMixture

PARAMETERS = ("weights_", "means_", "covariances_", "precisions_cholesky_")
TYPES = ("full", "tied", "diag", "spherical")
CASES = [
    pytest.param(number, kind, marks=[pytest.mark.long] if (number + place) % 2 else [])
    for number in range(20)
    for place, kind in enumerate(TYPES)
]


def data_set(number):
    """Samples of groups that overlap, of other sizes, shapes and scales for every number; and how many groups."""
    random = np.random.default_rng(number)
    D, K = int(random.integers(1, 9)), int(random.integers(1, 7))
    counts = random.integers(40, 160, size=K)
    parts = []
    for count in counts:
        axes = np.linalg.qr(random.normal(size=(D, D)))[0]
        spread = axes * 10 ** random.uniform(-0.7, 0.7, size=D)
        parts.append(random.normal(size=(count, D)) @ spread + random.normal(scale=3, size=D))
    return np.concatenate(parts) * 10 ** random.uniform(-2, 2) + random.normal(scale=5, size=D), K


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("number", "covariance_type"), CASES)
def test_equals_scikit_learn_after_100_iterations(number, covariance_type):
    X, K = data_set(number)
    random = np.random.default_rng(number)
    options = {
        "n_components": K,
        "covariance_type": covariance_type,
        "max_iter": 100,
        "tol": 0.0,
        "weights_init": np.full(K, 1 / K),
        "means_init": X[random.choice(len(X), K, replace=False)],
        "reg_covar": 1e-6 * X.var(),
    }
    theirs = sklearn.mixture.GaussianMixture(**options, random_state=0).fit(X)
    ours = GaussianMixture(**options, random_state=0).fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)
    for name in PARAMETERS:
        expected = getattr(theirs, name)
        np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    narrow = GaussianMixture(**options, random_state=0).fit(X.astype(np.float32))
    assert narrow.score(X.astype(np.float32)) == pytest.approx(ours.score(X), rel=1e-5)
