"""Columns that repeat one another, in any unit: EM is that of one of them, and nothing else changes."""

import numpy as np
import pytest
import sklearn.mixture

from latentcore.mixture import GaussianMixture, _em

N = 300
TOLERANCE = {"float32": 3e-4, "float64": 1e-9}
# of lower bounds
ROUNDING = {"float32": 1e-5, "float64": 1e-11}
SCALES = {"float32": (1e3, 1e8), "float64": (1e3, 1e12)}

may_stop_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
both_kinds = pytest.mark.parametrize("kind", ["full", "tied"])
every_count = pytest.mark.parametrize("K", [1, 2, 3])
far_or_near = pytest.mark.parametrize("offset", [0.0, 100.0])


def line(seed=0):
    """(N, 1) numbers in two groups that overlap."""
    random = np.random.default_rng(seed)
    return random.normal(size=(N, 1)) + 2.5 * (np.arange(N)[:, None] % 2)


def fitted(X, K, kind, **options):
    return GaussianMixture(K, covariance_type=kind, random_state=0, **options).fit(X)


def variances(mixture, column):
    return np.asarray(mixture.covariances_, dtype="f8")[..., column, column]


def assert_never_falls(mixture, dtype):
    bounds = np.array(mixture.lower_bounds_)
    assert np.diff(bounds).min(initial=0) >= -ROUNDING[dtype] * max(1, np.abs(bounds).max())


@both_kinds
@both_dtypes
def test_a_column_beside_two_that_are_one_keeps_its_variance(kind, dtype):
    z, b = np.random.default_rng(0).normal(size=(2, N))
    X = np.c_[z * 1e7, z * 1e7, b].astype(dtype)
    mixture = fitted(X, 1, kind)
    expected = X.astype("f8").var(0) + 1e-6
    np.testing.assert_allclose(np.diagonal(mixture.covariances_.reshape(3, 3)), expected, rtol=TOLERANCE[dtype])


def assert_copies_are_one_column(kind, dtype, K, offset, scale, copies):
    """Step by step the bound rises as that of a mixture without copies, whose column has their length."""
    x = np.c_[(line() + offset) * scale, line(seed=1) * scale].astype(dtype)
    many = fitted(np.c_[np.repeat(x[:, :1], copies, 1), x[:, 1:]], K, kind, tol=0.0, max_iter=8)
    one = fitted(x.astype("f8") * [copies**0.5, 1], K, kind, tol=0.0, max_iter=8)
    assert_never_falls(many, dtype)
    # a float32 bound is a sum of logarithms of D variances
    rounding = {"float32": 2e-6, "float64": 1e-10}[dtype] * max(1, np.abs(many.lower_bounds_).max())
    np.testing.assert_allclose(np.diff(many.lower_bounds_), np.diff(one.lower_bounds_), rtol=0, atol=rounding)
    np.testing.assert_allclose(many.weights_, one.weights_, rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(variances(many, -1), variances(one, -1), rtol=TOLERANCE[dtype])
    np.testing.assert_allclose(variances(many, 0), variances(one, 0) / copies, rtol=TOLERANCE[dtype])


@may_stop_early
@far_or_near
@every_count
@both_kinds
@both_dtypes
def test_copies_of_a_column_are_one_column(kind, dtype, K, offset):
    assert_copies_are_one_column(kind, dtype, K, offset, SCALES[dtype][0], 2)
    assert_copies_are_one_column(kind, dtype, K, offset, SCALES[dtype][1], 11)


@pytest.mark.long
@may_stop_early
@far_or_near
@every_count
@both_kinds
@both_dtypes
@pytest.mark.parametrize("scale", [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e10, 1e12])
def test_copies_are_one_column_in_any_unit(kind, dtype, K, offset, scale):
    if dtype == "float32" and scale > 1e8:
        pytest.skip("the squares of such samples are near the end of float32's range")
    for copies in (2, 3, 5, 11):
        assert_copies_are_one_column(kind, dtype, K, offset, scale, copies)


@may_stop_early
@far_or_near
@every_count
@both_kinds
@both_dtypes
def test_samples_on_a_line_have_a_mixture(kind, dtype, K, offset):
    for scale, D, last in zip(SCALES[dtype], (2, 12), (1, 3), strict=True):
        X = ((line() + offset) * np.linspace(1, last, D) * scale).astype(dtype)
        mixture = fitted(X, K, kind, tol=0.0, max_iter=10)
        assert_never_falls(mixture, dtype)
        assert np.isfinite(mixture.precisions_cholesky_).all()
        assert mixture.score(X) == pytest.approx(mixture.lower_bound_, abs=0.05)


@may_stop_early
@far_or_near
@both_kinds
@both_dtypes
def test_a_fit_that_converged_is_at_the_end(kind, dtype, offset):
    """Where the bound leapt there and back, a step that changed nothing said little."""
    X = np.repeat((line() + offset) * 1e9, 2, 1).astype(dtype)
    fit, rest = fitted(X, 2, kind), fitted(X, 2, kind, tol=0.0, max_iter=60)
    assert fit.converged_
    assert fit.lower_bound_ == pytest.approx(rest.lower_bound_, abs=0.03)


@both_kinds
@every_count
def test_scikit_learns_covariances(K, kind):
    """Where it can fit such samples: its Cholesky factors are of float64."""
    X = np.c_[line() * 1e3, line() * 1e3, line(seed=1) * 1e3]
    theirs = sklearn.mixture.GaussianMixture(K, covariance_type=kind, random_state=0).fit(X)
    # rounding moves their bound by 1e-4, and so the components a little, otherwise on every processor
    rounding = 1e-4 * np.abs(theirs.covariances_).max()
    np.testing.assert_allclose(fitted(X, K, kind).covariances_, theirs.covariances_, rtol=0, atol=rounding)


@both_dtypes
def test_many_copies(dtype):
    X = np.c_[np.repeat(line() * 1e6, 80, 1), line(seed=1)].astype(dtype)
    mixture = fitted(X, 2, "full")
    assert_never_falls(mixture, dtype)
    one = fitted(X[:, -2:].astype("f8") * [80**0.5, 1], 2, "full")
    np.testing.assert_allclose(variances(mixture, -1), variances(one, -1), rtol=TOLERANCE[dtype])


@both_dtypes
def test_what_one_component_lacks_it_has_from_reg_covar(dtype):
    """A column that is constant in one component only, and components that are narrow and far apart."""
    group = np.arange(N) % 2
    b = np.where(group, line(seed=1)[:, 0], 3.0) * 1e4
    z = line()[:, 0] + 1e3 * group
    X = np.c_[z * 1e5, z * 1e5, b].astype(dtype)
    mixture = fitted(X, 2, "full")
    order = np.argsort(mixture.means_[:, 0])
    groups = [X[group == g].astype("f8").var(0) for g in (0, 1)]
    assert groups[0][2] == 0
    np.testing.assert_allclose(variances(mixture, 2)[order], [1e-6, groups[1][2]], rtol=1e-5)
    for column in (0, 1):
        expected = [groups[0][column], groups[1][column]]
        np.testing.assert_allclose(variances(mixture, column)[order], expected, rtol=1e-5)


@both_dtypes
def test_lines_that_cross(dtype):
    """Each component is singular, and together they are not."""
    sign = np.where(np.arange(N) % 2, 1, -1)[:, None]
    X = (np.c_[line(), sign * line()] * 1e8).astype(dtype)
    mixture = fitted(X, 2, "full", tol=1e-5)
    assert_never_falls(mixture, dtype)
    assert mixture.converged_
    assert np.isfinite(mixture.score_samples(X)).all()


@both_dtypes
@both_kinds
def test_a_stream_is_fitted_as_an_array(kind, dtype):
    X = np.c_[(line() + 100) * 1e7, (line() + 100) * 3e7, line(seed=1)].astype(dtype)
    whole, pieces = fitted(X, 2, kind), fitted(lambda: iter(np.array_split(X, 4)), 2, kind)
    np.testing.assert_allclose(pieces.lower_bounds_, whole.lower_bounds_, rtol=1e-6)
    np.testing.assert_allclose(variances(pieces, 2), variances(whole, 2), rtol=TOLERANCE[dtype])


@both_kinds
@both_dtypes
def test_a_batch_is_mended_alone(kind, dtype):
    X = np.c_[line() * 1e7, line() * 1e7, line(seed=1)].astype(dtype)
    mixture = GaussianMixture(1, covariance_type=kind, random_state=0).partial_fit(X)
    np.testing.assert_allclose(variances(mixture, 2), X[:, 2].astype("f8").var() + 1e-6, rtol=TOLERANCE[dtype])


@both_kinds
@every_count
def test_too_far_from_0_is_an_error(K, kind):
    X = ((line() + 1e7) * [1e3, 1e3]).astype("float32")
    with pytest.raises(ValueError, match=r"X: expected collinear columns not farther from 0 than 8e\+05 times .*mean"):
        fitted(X, K, kind)
    # a column of its own may be anywhere
    X = np.c_[line() * 1e7, line() * 1e7, line(seed=1) + 1e6].astype("float32")
    within = fitted(X, 1, kind).covariances_.reshape(3, 3)[2, 2]
    assert within == pytest.approx(X[:, 2].astype("f8").var() + 1e-6, rel=1e-5)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@both_dtypes
def test_other_samples_are_left_alone(blobs, monkeypatch, kind, dtype):
    monkeypatch.setattr(_em.Level, "of", None)  # it would fail
    for scale in (1e-2, 1.0, 1e4):
        assert fitted((blobs[0] * scale).astype(dtype), 3, kind, n_init=2).converged_
