"""What holds for every fit, whatever it is given: each test goes through the grid of a covariance type and dtype."""

import sys
import warnings

import numpy as np
import pytest
from tests.mixture import grid
from tests.mixture.grid import CASES, D, K, N, fitted, results, samples, start

from children import run_child
from latentcore.mixture import fit_many

ROTATION = np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0]
ORDER = np.random.default_rng(2).permutation(N)
TURN = np.array([2, 0, 1])  # of components

pytestmark = pytest.mark.long
everywhere = pytest.mark.parametrize("dtype", grid.DTYPES)
every_kind = pytest.mark.parametrize("kind", grid.KINDS)


def cases(kind, dtype, **wanted):
    found = [case for case in CASES if (case.kind, case.dtype) == (kind, dtype)]
    return [case for case in found if all(getattr(case, name) == value for name, value in wanted.items())]


def assert_close(case, found, expected):
    """Relative to the greatest number of each array, since others may be nearly zero."""
    for name, value in expected.items():
        error = np.abs(found[name] - value).max() / max(np.abs(value).max(), 1e-3)
        assert error <= case.tolerance, (case.name, name, error)


def turned(kind, found):
    """The same with its components in another order."""
    return {
        name: value if name == "lower_bounds_" or (kind == "tied" and name == "covariances_") else value[TURN]
        for name, value in found.items()
    }


@every_kind
@everywhere
def test_the_bound_never_falls(kind, dtype):
    for case in cases(kind, dtype):
        bounds = results(fitted(case, samples(case), max_iter=40))["lower_bounds_"]
        assert len(bounds) == 40
        assert np.diff(bounds).min() >= -{"float32": 1e-5, "float64": 1e-10}[dtype] * np.abs(bounds).max(), case.name


@every_kind
@everywhere
def test_the_order_of_rows_does_not_matter(kind, dtype):
    for case in cases(kind, dtype):
        data = samples(case)
        assert_close(case, results(fitted(case, data.rows(ORDER))), results(fitted(case, data)))


@every_kind
@everywhere
def test_the_order_of_components_does_not_matter(kind, dtype):
    for case in cases(kind, dtype):
        begin = {
            name: value if kind == "tied" and name == "precisions_init" else value[TURN]
            for name, value in start(case).items()
        }
        expected = results(fitted(case, samples(case)))
        assert_close(case, results(fitted(case, samples(case), begin)), turned(kind, expected))


@every_kind
@everywhere
def test_weights_are_repeated_rows(kind, dtype):
    for case in cases(kind, dtype, weighted=True):
        data = samples(case)
        (repeated,) = (other for other in cases(kind, dtype) if other == _without_weights(case))
        rows = data.rows(np.repeat(np.arange(N), data.weight))
        assert_close(case, results(fitted(case, data)), results(fitted(repeated, rows)))


def _without_weights(case):
    return type(case)(**{**vars(case), "weighted": False})


@every_kind
@everywhere
def test_a_rotation_turns_means_and_nothing_else(kind, dtype):
    if kind == "diag":
        pytest.skip("independent features are not those of rotated samples")
    for case in cases(kind, dtype, gaps=False):
        data, begin = samples(case), start(case)
        begin["means_init"] = begin["means_init"] @ ROTATION
        found, expected = results(fitted(case, data.with_x(data.x @ ROTATION), begin)), results(fitted(case, data))
        expected["means_"] = expected["means_"] @ ROTATION
        if kind != "spherical":
            expected["covariances_"] = ROTATION.T @ expected["covariances_"] @ ROTATION
        assert_close(case, found, expected)


@every_kind
@everywhere
def test_a_constant_column_changes_nothing_of_the_others(kind, dtype):
    """But for one variance of all features; with a prior its variance depends on how many samples a component has."""
    for case in cases(kind, dtype, prior=False):
        data = samples(case)
        wider = data.with_x(np.column_stack([data.x, np.full(N, 7.0)]))
        begin = start(case)
        begin["means_init"] = np.column_stack([begin["means_init"], np.full(K, 7.0)])
        begin["precisions_init"] = _wider(kind, begin["precisions_init"])
        found, expected = fitted(case, wider, begin, reg_covar=1e-3), fitted(case, data, reg_covar=1e-3)
        assert np.abs(np.asarray(found.means_)[:, D] - 7).max() <= 1e-5
        if kind == "spherical":
            continue
        assert_close(case, {"weights_": found.weights_}, {"weights_": expected.weights_})
        assert_close(case, {"means_": found.means_[:, :D]}, {"means_": expected.means_})
        own = found.covariances_[:, :D] if kind == "diag" else found.covariances_[..., :D, :D]
        assert_close(case, {"covariances_": own}, {"covariances_": expected.covariances_})
        width = found.covariances_[:, D] if kind == "diag" else found.covariances_[..., D, D]
        assert np.abs(width - 1e-3).max() <= 1e-6
        # a density of a number that is always its mean
        shift = -0.5 * np.log(2 * np.pi * 1e-3)
        bounds = results(found)["lower_bounds_"][1:] - results(expected)["lower_bounds_"][1:]
        assert np.abs(bounds - shift).max() <= 10 * case.tolerance


def _wider(kind, precisions):
    if kind == "spherical":
        return precisions
    if kind == "diag":
        return np.ones((K, D + 1))
    return np.eye(D + 1) if kind == "tied" else np.stack([np.eye(D + 1)] * K)


@every_kind
@everywhere
@pytest.mark.parametrize("weighted", [False, True])
def test_one_of_many_is_one(kind, dtype, weighted):
    plain = {"gaps": False, "labelled": False, "prior": False, "streamed": False}
    (case,) = cases(kind, dtype, weighted=weighted, **plain)
    data = samples(case)
    x, words = data.x.astype(dtype)[None], {"covariance_type": kind, "tol": 0.0, "random_state": 0}
    if weighted:
        words["sample_weight"] = data.weight[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neither is long enough to converge
        first, last = (fit_many(x, K, max_iter=count, **words) for count in (3, 3 + 12))
    begin = {"weights_init": first.weights_[0], "means_init": first.means_[0]}
    found = fitted(case, data, begin | {"precisions_init": _precisions(kind, first.precisions_cholesky_[0])})
    expected = {name: np.asarray(getattr(last, name)[0], dtype="f8") for name in ("weights_", "means_", "covariances_")}
    assert_close(case, results(found), expected)


def _precisions(kind, factors):
    factors = np.asarray(factors, dtype="f8")
    return factors @ np.swapaxes(factors, -1, -2) if kind in ("full", "tied") else factors**2


@pytest.mark.timeout(300)
def test_one_process_is_two(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run_child([*command, grid.__file__, str(tmp_path)], limit=280)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (dict(np.load(tmp_path / f"{rank}.npz")) for rank in range(2))
    for case in CASES:
        expected = results(fitted(case, samples(case)))
        assert_close(case, {name: first[f"{case.name}/{name}"] for name in expected}, expected)
        assert all(np.array_equal(first[f"{case.name}/{name}"], second[f"{case.name}/{name}"]) for name in expected)
