"""The estimator against scikit-learn's, number by number."""

import numpy as np
import pytest
import sklearn.mixture
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from latentcore.mixture import GaussianMixture

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([GaussianMixture()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def near(actual, expected, tolerance=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


# Tied covariances have the first two starts only: from seeds, scikit-learn counts samples that no seed owns.
STARTS = [("kmeans", 1), ("random", 3), ("k-means++", 2), ("random_from_data", 1)]
TYPES_AND_STARTS = [(kind, *start) for kind in COVARIANCE_TYPES for start in (STARTS[:2] if kind == "tied" else STARTS)]


@may_stop_early
@pytest.mark.parametrize(("covariance_type", "init_params", "n_init"), TYPES_AND_STARTS)
def test_fit_equals_scikit_learn(X, covariance_type, init_params, n_init):
    options = {
        "covariance_type": covariance_type,
        "init_params": init_params,
        "n_init": n_init,
        "tol": 1e-7,
        # scikit-learn loses digits of diag variances much smaller than the means
        "reg_covar": 1e-2,
        "random_state": 0,
    }
    ours, theirs = GaussianMixture(4, **options).fit(X), sklearn.mixture.GaussianMixture(4, **options).fit(X)
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    # scikit-learn's first weights sum to less than 1 where only seeds have an owner
    near(ours.lower_bounds_[1:], theirs.lower_bounds_[1:], 1e-9)
    for name in PARAMETERS:
        near(getattr(ours, name), getattr(theirs, name))


@every_type
def test_given_start_equals_scikit_learn(X, covariance_type):
    matrix = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.0], [0.1, 0.0, 0.5]])
    precisions = {
        "full": np.stack([matrix, 2 * matrix]),
        "tied": matrix,
        "diag": np.array([[1.0, 2, 3], [3, 2, 1]]),
        "spherical": np.array([0.5, 2.0]),
    }
    options = {
        "covariance_type": covariance_type,
        "weights_init": [0.3, 0.7],
        "means_init": X[:2],
        "precisions_init": precisions[covariance_type],
    }
    ours, theirs = GaussianMixture(2, **options).fit(X), sklearn.mixture.GaussianMixture(2, **options).fit(X)
    assert ours.n_iter_ == theirs.n_iter_
    for name in PARAMETERS:
        near(getattr(ours, name), getattr(theirs, name))
    at_start = GaussianMixture(2, **options, max_iter=0).fit(X)
    near(at_start.precisions_, precisions[covariance_type], 1e-12)
    if covariance_type == "full":
        near(at_start.covariances_, np.linalg.inv(precisions["full"]), 1e-12)


@every_type
def test_predictions_equal_scikit_learn(X, covariance_type):
    options = {"covariance_type": covariance_type, "random_state": 0}
    ours, theirs = GaussianMixture(3, **options), sklearn.mixture.GaussianMixture(3, **options)
    assert np.array_equal(ours.fit_predict(X), theirs.fit_predict(X))
    near(ours.predict_proba(X), theirs.predict_proba(X))
    near(ours.score_samples(X), theirs.score_samples(X), 1e-9)
    for figure in ("score", "aic", "bic"):
        near(getattr(ours, figure)(X), getattr(theirs, figure)(X), 1e-9)


@every_type
def test_float32_is_near_float64(X, covariance_type):
    options = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 20, "tol": 0}
    with pytest.warns(ConvergenceWarning):
        narrow = GaussianMixture(3, **options).fit((X + 100).astype(np.float32))
    with pytest.warns(ConvergenceWarning):
        wide = GaussianMixture(3, **options).fit(X + 100)
    for name in PARAMETERS:
        assert getattr(narrow, name).dtype == np.float32
        near(getattr(narrow, name), getattr(wide, name), 1e-3)
    assert narrow.predict_proba(X.astype(np.float32)).dtype == np.float32
    assert narrow.sample(2)[0].dtype == np.float32


@may_stop_early
@every_type
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_likelihood_never_falls(X, covariance_type, dtype):
    options = {
        "covariance_type": covariance_type,
        "init_params": "random",
        "random_state": 1,
        "max_iter": 60,
        "tol": 1e-9,
    }
    bounds = GaussianMixture(5, **options).fit(X.astype(dtype)).lower_bounds_
    rounding = 1e-12 if dtype == np.float64 else 3e-6
    # reg_covar, which the likelihood does not know, may cost a trifle too
    assert np.diff(bounds).min() > -rounding - 1e-7


@every_type
def test_float32_far_apart_gives_no_negative_variance(covariance_type):
    X = np.array([[9999.0], [0.0]], dtype=np.float32)
    mixture = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.1, random_state=0).fit(X)
    near(mixture.covariances_.ravel(), np.full(mixture.covariances_.size, 0.1))


@may_stop_early
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_collinear_float32_samples_stay_positive_definite(covariance_type):
    line = np.random.default_rng(0).normal(0, 1000, (300, 1)) * [1.0, 2.0, 3.0] + 1e4
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(line.astype(np.float32))
    assert np.isfinite(mixture.precisions_cholesky_).all()
    assert np.isfinite(mixture.score(line))


def test_tensors_in_tensors_out(X):
    from_array = GaussianMixture(3, random_state=0).fit(X)
    mixture = GaussianMixture(3, random_state=0).fit(torch.from_numpy(X).requires_grad_())
    for name in PARAMETERS:
        assert torch.equal(getattr(mixture, name), torch.from_numpy(getattr(from_array, name)))
    answers = (mixture.predict_proba(torch.from_numpy(X)), mixture.score_samples(torch.from_numpy(X)))
    assert all(isinstance(answer, torch.Tensor) and answer.dtype == torch.float64 for answer in answers)
    assert np.array_equal(mixture.predict(X), mixture.predict(torch.from_numpy(X)).numpy())
    assert all(isinstance(part, torch.Tensor) for part in mixture.sample(3))


def test_half_tensors_are_widened(X):
    mixture = GaussianMixture(2, random_state=0).fit(torch.from_numpy(X).bfloat16())
    assert mixture.means_.dtype == torch.float32


@every_type
def test_sample_weights_count_samples_so_many_times(X, covariance_type):
    times = np.arange(len(X)) % 3
    start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "covariance_type": covariance_type}
    start["precisions_init"] = sklearn.mixture.GaussianMixture(2, covariance_type=covariance_type).fit(X).precisions_
    weighted = GaussianMixture(2, **start).fit(X, sample_weight=times)
    repeated = GaussianMixture(2, **start).fit(np.repeat(X, times, axis=0))
    assert weighted.n_iter_ == repeated.n_iter_
    for name in (*PARAMETERS, "lower_bounds_"):
        near(getattr(weighted, name), getattr(repeated, name), 1e-9)


@every_type
def test_samples_have_the_mixtures_moments(X, covariance_type):
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    drawn, component = mixture.sample(40_000)
    assert drawn.shape == (40_000, 3)
    near(np.bincount(component) / 40_000, mixture.weights_, 0.02)
    for k in range(2):
        covariance = mixture.covariances_ if covariance_type == "tied" else mixture.covariances_[k]
        matrix = covariance if covariance.ndim == 2 else np.eye(3) * covariance
        near(drawn[component == k].mean(0), mixture.means_[k], 0.1)
        near(np.cov(drawn[component == k].T), matrix, 0.15)
    assert np.array_equal(mixture.sample(5)[0], mixture.sample(5)[0])


def test_warm_start_goes_on_where_it_stopped(X):
    options = {"init_params": "random", "random_state": 0, "tol": 1e-6}
    whole = GaussianMixture(3, max_iter=200, **options).fit(X)
    parts = GaussianMixture(3, max_iter=5, warm_start=True, **options)
    with pytest.warns(ConvergenceWarning):
        parts.fit(X)
    bounds = list(parts.lower_bounds_)
    parts.set_params(max_iter=195).fit(X)
    near([*bounds, *parts.lower_bounds_], whole.lower_bounds_, 1e-9)
    near(parts.means_, whole.means_)


def test_restarts_on_a_subset_then_all_samples(X):
    options = {"init_params": "random", "n_init": 4, "random_state": 0, "tol": 1e-5, "max_iter": 300}
    mixture = GaussianMixture(3, init_size=150, **options).fit(X)
    everywhere = GaussianMixture(3, **options).fit(X)
    near(mixture.lower_bound_, everywhere.lower_bound_, 2e-2)
    near(mixture.lower_bound_, mixture.score(X), 1e-4)


def test_verbose_prints_every_interval(X, capsys):
    with pytest.warns(ConvergenceWarning):
        GaussianMixture(3, max_iter=6, tol=0, verbose=1, verbose_interval=2).fit(X)
    assert capsys.readouterr().out.count("mean log-likelihood") == 3


def test_warns_where_it_did_not_converge(X):
    with pytest.warns(ConvergenceWarning, match="2 iterations"):
        mixture = GaussianMixture(3, max_iter=2, tol=0).fit(X)
    assert (mixture.converged_, mixture.n_iter_) == (False, 2)


def test_clone_keeps_every_parameter():
    mixture = GaussianMixture(5, init_size=100, label_propagation=0.5)
    assert clone(mixture).get_params() == mixture.get_params()


@pytest.mark.parametrize(
    "bad",
    [
        {"n_components": 0},
        {"covariance_type": "round"},
        {"tol": -1.0},
        {"reg_covar": -1.0},
        {"max_iter": -1},
        {"n_init": 0},
        {"init_params": "guess"},
        {"init_size": 0},
        {"label_propagation": 1.0},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_bad_options(X, bad):
    with pytest.raises(ValueError, match=f"'{next(iter(bad))}' parameter of GaussianMixture must be"):
        GaussianMixture(**bad).fit(X)


BAD_STARTS = {
    "weights sum": ({"weights_init": [0.5, 0.6]}, "weights_init: expected numbers >= 0 that sum to 1"),
    "weights sign": ({"weights_init": [1.5, -0.5]}, "weights_init: expected numbers >= 0"),
    "means shape": ({"means_init": np.zeros((2, 4))}, r"means_init: expected shape \(2, 3\), got \(2, 4\)"),
    "means nan": ({"means_init": np.full((2, 3), np.nan)}, "means_init: expected finite numbers, got NaN"),
    "full": ({"precisions_init": np.stack([np.eye(3), -np.eye(3)])}, "precisions_init: expected symmetric, positive"),
    "asymmetric": (
        {"precisions_init": np.stack([np.eye(3), np.eye(3) + np.eye(3, k=1)])},
        "precisions_init: .* got an asymmetric one",
    ),
    "tied": ({"precisions_init": np.ones((3, 3)), "covariance_type": "tied"}, "precisions_init: expected symmetric"),
    "diag": ({"precisions_init": np.zeros((2, 3)), "covariance_type": "diag"}, "precisions_init: expected positive"),
    "init_size": ({"init_size": 1}, "init_size: expected at least n_components = 2, got 1"),
}


@pytest.mark.parametrize(("options", "message"), BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_bad_starts(X, options, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2, **options).fit(X)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite(X, kind, bad):
    mixture = GaussianMixture(2, random_state=0).fit(kind(X))
    broken = X.copy()
    broken[3, 1] = bad
    for call in (GaussianMixture(2).fit, mixture.predict, mixture.score):
        with pytest.raises(ValueError, match=r"X.*(NaN|infinity)"):
            call(kind(broken))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
def test_samples_of_the_wrong_shape(X, kind):
    mixture = GaussianMixture(2, random_state=0).fit(kind(X))
    with pytest.raises(ValueError, match="3"):
        mixture.predict(kind(X[:, :2]))
    with pytest.raises(ValueError, match=r"\(N, D\)|2D array"):
        mixture.fit(kind(X[0]))
    with pytest.raises(ValueError, match="at least n_components = 7 samples, got 6"):
        GaussianMixture(7).fit(kind(X[:6]))
    with pytest.raises(ValueError, match=r"(?i)samples?"):
        GaussianMixture(1).fit(kind(X[:0]))


def test_a_collapsed_component_without_regularisation():
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 10, axis=0)
    for covariance_type in ("full", "diag"):
        with pytest.raises(ValueError, match=r"X: expected .* positive definite covariance.* reg_covar 0"):
            GaussianMixture(2, covariance_type=covariance_type, reg_covar=0, random_state=0).fit(X)


def test_overflow_is_an_error_not_a_nan():
    X = np.array([[-1e30], [0.0], [1e30]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"X: expected .*scale X"):
        GaussianMixture(1, init_params="random").fit(X)


@pytest.mark.parametrize("weight", [np.ones(3), np.full(600, -1.0), np.full(600, np.nan), np.zeros(600)])
def test_bad_sample_weights(X, weight):
    with pytest.raises(ValueError, match="sample_weight: expected"):
        GaussianMixture(2).fit(X, sample_weight=weight)


def test_not_fitted(X):
    for method in ("predict", "predict_proba", "score", "aic", "predict_label"):
        with pytest.raises(NotFittedError):
            getattr(GaussianMixture(), method)(X)
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()


def test_bad_number_of_samples(X):
    with pytest.raises(ValueError, match="n_samples: expected an int in"):
        GaussianMixture().fit(X).sample(0)


def test_a_failed_fit_leaves_a_fitted_mixture_as_it_was(blobs):
    model = GaussianMixture(2, random_state=0).fit(blobs[0])
    before = model.predict(blobs[0])
    with pytest.raises(ValueError, match=r"NaN|finite"):
        model.fit(np.full((10, 5), np.nan))
    assert model.n_features_in_ == 3
    np.testing.assert_array_equal(model.predict(blobs[0]), before)


def test_small_precisions_that_are_not_symmetric(blobs):
    precisions = np.stack([np.eye(3)] * 2) * 1e-12 + np.triu(np.full((3, 3), 1e-9), 1)
    with pytest.raises(ValueError, match="precisions_init: expected symmetric"):
        GaussianMixture(2, precisions_init=precisions).fit(blobs[0])
