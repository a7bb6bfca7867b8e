"""Concentrations of the weights below 1, which empty components: some hold two or three samples, on a line."""

import numpy as np
import pytest

from latentcore.mixture import GaussianMixture

# of the bound: a sum over the samples in the dtype, of logarithms of densities with their own rounding
ROUNDING = {"float32": 1e-5, "float64": 1e-7}

may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
every_type = pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def fall(kind, dtype, concentration, seed, **options):
    """The greatest fall of the bound, in parts of it."""
    random = np.random.default_rng(seed)
    X = np.concatenate([random.normal(size=(60, 2)), random.normal(size=(60, 2)) + 6]).astype(dtype)
    mixture = GaussianMixture(
        5, covariance_type=kind, weight_concentration_prior=concentration, random_state=seed, tol=0.0, **options
    ).fit(X)
    bounds = np.array(mixture.lower_bounds_)
    assert np.isfinite(bounds).all()
    return -np.diff(bounds).min() / max(1, np.abs(bounds).max())


@may_stop_early
@every_type
@both_dtypes
def test_the_bound_does_not_fall(kind, dtype):
    """`reg_covar` is all that components on a line have across it, and float32 rounds more than that."""
    for concentration, seed in ((0.5, 1), (0.01, 3)):
        assert fall(kind, dtype, concentration, seed, max_iter=130) <= ROUNDING[dtype], (concentration, seed)


@pytest.mark.long
@may_stop_early
@every_type
@both_dtypes
@pytest.mark.parametrize("concentration", [0.9, 0.5, 0.1, 0.01])
def test_the_bound_does_not_fall_for_many_samples(kind, dtype, concentration):
    for seed in range(20):
        assert fall(kind, dtype, concentration, seed, max_iter=200) <= ROUNDING[dtype], seed
