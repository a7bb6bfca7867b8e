"""How the estimator's loop goes on over steps that fail, and that rarely looking at it changes nothing."""

import numpy as np
import pytest
import sklearn.mixture
import torch

from latentcore import reference
from latentcore.mixture import GaussianMixture, _em

RESULTS = ("weights_", "means_", "covariances_", "precisions_cholesky_", "lower_bounds_", "n_iter_", "converged_")


@pytest.fixture(params=[2, 5, 1000])
def rare_looks(request, monkeypatch):
    """As on a device that a look waits for."""

    def start():
        monkeypatch.setattr(reference.em, "look_interval", lambda device: request.param)

    return start


def collinear():
    """Samples whose covariance float32 may see as indefinite: three columns on a line, far from the origin."""
    line = torch.randn(400, 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return (line * torch.tensor([1.0, 2.0, 3.0]) + 1000).float().numpy()


@pytest.mark.parametrize("case", ["blobs", "restarts", "unfinished", "mended"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rare_looks_give_the_same_fit(rare_looks, blobs, case):
    X = collinear() if case == "mended" else blobs[0]
    options = {
        "blobs": {"n_components": 3},
        "restarts": {"n_components": 4, "n_init": 6, "init_params": "random_from_data"},
        "unfinished": {"n_components": 5, "max_iter": 7, "tol": 0.0},
        "mended": {"n_components": 2, "reg_covar": 1e-9, "max_iter": 30},
    }[case]
    expected = GaussianMixture(random_state=0, **options).fit(X)
    rare_looks()
    found = GaussianMixture(random_state=0, **options).fit(X)
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e9])
def test_collinear_columns_are_mended_in_any_unit(covariance_type, scale, dtype):
    """Beside their variance, float64 may not tell reg_covar from 0."""
    X = (scale * collinear().astype(np.float64)).astype(dtype)
    for K in (1, 2):
        mixture = GaussianMixture(K, covariance_type=covariance_type, random_state=0, max_iter=30).fit(X)
        assert np.isfinite(mixture.precisions_cholesky_).all()
        assert np.isfinite(mixture.score_samples(X)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_seeds_without_a_variance_are_a_start(blobs, covariance_type, init_params, dtype):
    """Their variance is reg_covar; where that is 0, samples belong to the nearest seed first."""
    options = {"covariance_type": covariance_type, "init_params": init_params, "tol": 1e-6, "max_iter": 300}
    X = blobs[0].astype(dtype)
    nearest, usual = (GaussianMixture(3, random_state=0, reg_covar=r, **options).fit(X) for r in (0.0, 1e-9))
    assert nearest.lower_bound_ == pytest.approx(usual.lower_bound_, abs=1e-3)
    if covariance_type in ("diag", "spherical"):
        theirs = sklearn.mixture.GaussianMixture(3, random_state=0, reg_covar=0.0, **options).fit(X)
        assert nearest.lower_bound_ > theirs.lower_bound_ - 1e-3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_step_is_mended(monkeypatch):
    """The case above has a covariance that is singular but for rounding."""
    mended = []
    step = _em.Level.step
    monkeypatch.setattr(_em.Level, "step", lambda *a: mended.append(1) or step(*a))
    found = GaussianMixture(2, reg_covar=1e-9, max_iter=30, random_state=0).fit(collinear())
    assert mended
    assert found.n_iter_ > 1
    assert np.isfinite(found.precisions_cholesky_).all()
