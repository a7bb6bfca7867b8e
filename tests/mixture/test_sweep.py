"""Comparing mixtures by information criteria."""

import numpy as np
import pandas as pd
import pytest
import torch

from latentcore.mixture import GaussianMixture, sweep

CRITERIA = ("bic", "aic", "icl")


def three_groups(covariance_type, N=900, seed=0):
    """Samples of three groups that are apart, of the shape that the covariance type can tell."""
    random = np.random.default_rng(seed)
    shapes = {
        "full": [[[2, 0], [1.5, 0.4]], [[0.5, 0], [-1, 1]], [[1, 0], [0, 1]]],
        "tied": 3 * [[[2, 0], [1.2, 0.5]]],
        "diag": [[[2, 0], [0, 0.5]], [[0.5, 0], [0, 2]], [[1, 0], [0, 1.5]]],
        "spherical": [[[2, 0], [0, 2]], [[0.5, 0], [0, 0.5]], [[1, 0], [0, 1]]],
    }
    which = np.arange(N) % 3
    noise = np.einsum("nij,nj->ni", np.array(shapes[covariance_type], float)[which], random.normal(size=(N, 2)))
    return noise + np.array([[0, 0], [12, 3], [-3, 14]])[which]


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_finds_the_true_number_and_type(covariance_type):
    found = sweep(three_groups(covariance_type), range(1, 6), random_state=0)
    assert (found.best_row.covariance_type, found.best_row.n_components) == (covariance_type, 3)
    assert found.best.covariance_type == covariance_type
    assert found.best.means_.shape == (3, 2)
    assert len(found.rows) == len(found.models) == 20


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_rows_are_the_estimators_own_figures(kind):
    X, options = kind(three_groups("diag")), {"random_state": 3, "n_init": 2, "max_iter": 7}
    found = sweep(X, [4, 2], ["diag", "tied"], **options)
    pairs = [("diag", 4), ("diag", 2), ("tied", 4), ("tied", 2)]
    assert [(row.covariance_type, row.n_components) for row in found.rows] == list(found.models) == pairs
    for row, (covariance_type, count) in zip(found.rows, pairs, strict=True):
        alone = GaussianMixture(count, covariance_type=covariance_type, **options).fit(X)
        assert [row.bic, row.aic, row.icl] == pytest.approx([alone.bic(X), alone.aic(X), alone.icl(X)], rel=1e-12)
        assert row.log_likelihood == pytest.approx(alone.score(X), rel=1e-12)
        assert (row.n_iter, row.converged) == (alone.n_iter_, alone.converged_)
        assert row.aic == pytest.approx(2 * row.n_parameters - 2 * len(X) * row.log_likelihood)
        assert row.icl >= row.bic
        assert row.seconds > 0
        np.testing.assert_array_equal(found.models[covariance_type, count].means_, alone.means_)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_best_has_the_lowest_criterion(criterion):
    found = sweep(three_groups("full")[:60], range(1, 5), criterion=criterion, random_state=0)
    assert getattr(found.best_row, criterion) == min(getattr(row, criterion) for row in found.rows)


def test_a_mixture_that_does_not_converge_says_so():
    found = sweep(three_groups("full"), [3, 6], ["full"], max_iter=2, tol=0.0, random_state=0)
    assert not any(row.converged for row in found.rows)
    assert str(found).count("not converged") == 2


def test_the_table_marks_the_best():
    lines = str(sweep(three_groups("full"), [1, 3, 10], ["full", "spherical"], random_state=0)).splitlines()
    assert lines[0].split()[:6] == ["covariance", "K", "parameters", "log-likelihood", "BIC", "AIC"]
    assert [line.split()[:2] for line in lines[1:4]] == [["full", "1"], ["*", "full"], ["full", "10"]]
    assert lines[-1] == "* lowest BIC"
    columns = [line.index(" 10 ") for line in lines if " 10 " in line[:20]]
    assert len(columns) == 2
    assert len(set(columns)) == 1


def test_a_mixture_that_cannot_be_fitted_does_not_lose_the_rest():
    X = np.repeat(np.array([[0.0, 0.0], [1.0, 5.0], [4.0, 1.0]]), 5, axis=0)
    found = sweep(X, [1, 3, 16], ["full", "diag"], reg_covar=0.0, random_state=0)
    failed = {(row.covariance_type, row.n_components): row.failure for row in found.rows if row.failure}
    assert set(failed) == {("full", 3), ("full", 16), ("diag", 3), ("diag", 16)}
    assert "collapsed" in failed["full", 3]
    assert "at least n_components = 16 samples" in failed["diag", 16]
    assert set(found.models) == {("full", 1), ("diag", 1)}
    assert found.best_row.n_components == 1
    for row in found.rows:
        assert np.isnan([row.bic, row.aic, row.icl, row.log_likelihood]).all() == bool(row.failure)
    assert str(found).count("failed\n") == 4


def test_rows_make_a_data_frame():
    frame = pd.DataFrame(sweep(three_groups("full"), [1, 3], ["full"], random_state=0).to_dicts())
    assert frame.set_index("n_components")["bic"].idxmin() == 3
    assert frame["converged"].dtype == bool


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_components": []}, ValueError, "n_components: expected at least one number of components, got none"),
        ({"n_components": [2, 0]}, ValueError, "n_components: expected an int in .* got 0"),
        ({"n_components": [2.0]}, TypeError, "n_components: expected an int, got float"),
        ({"n_components": 3}, TypeError, "n_components: expected numbers of components, .* got int"),
        ({"covariance_types": []}, ValueError, "covariance_types: expected at least one covariance type, got none"),
        ({"covariance_types": ["round"]}, ValueError, "covariance_types: expected one of 'full', .* got 'round'"),
        ({"covariance_types": "full"}, TypeError, "covariance_types: expected a sequence .* got 'full'"),
        ({"criterion": "mdl"}, ValueError, "criterion: expected one of 'bic', 'aic', 'icl', got 'mdl'"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"speed": 3}, TypeError, "speed"),
        ({"X": np.full((9, 2), np.nan)}, ValueError, "X: expected samples to which at least one .* NaN"),
    ],
)
def test_bad_input(arguments, error, message):
    with pytest.raises(error, match=message):
        sweep(**{"X": three_groups("full"), "n_components": [1, 2], **arguments})
