"""Pictures of mixtures: they show the numbers that they are given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Ellipse

from latentcore import plots
from latentcore.mixture import sweep

MEANS = np.array([[0.0, 0.0], [6.0, 1.0]])


def ellipses(figure):
    """Those of one standard deviation, then those of two."""
    found = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    return found[::2], found[1::2]


@pytest.mark.parametrize(
    ("covariance_type", "covariances", "sizes"),
    [
        ("full", [[[4, 0], [0, 1]], [[9, 0], [0, 4]]], [(4, 2), (6, 4)]),
        ("tied", [[4, 0], [0, 1]], [(4, 2), (4, 2)]),
        ("diag", [[4, 1], [9, 4]], [(4, 2), (6, 4)]),
        ("spherical", [4, 9], [(4, 4), (6, 6)]),
    ],
)
def test_ellipses_are_one_and_two_standard_deviations(covariance_type, covariances, sizes):
    figure = plots.gaussian_ellipses(MEANS, covariances, covariance_type=covariance_type)
    inner, outer = ellipses(figure)
    assert [(e.width, e.height) for e in inner] == sizes
    assert [(e.width, e.height) for e in outer] == [(2 * width, 2 * height) for width, height in sizes]
    assert [tuple(e.center) for e in inner] == [tuple(mean) for mean in MEANS]
    low, high = figure.axes[0].get_ylim()
    assert low < min(e.center[1] - e.height / 2 for e in outer)
    assert high > max(e.center[1] + e.height / 2 for e in outer)


def test_heavier_components_are_filled_more():
    inner, _ = ellipses(plots.gaussian_ellipses(MEANS, [1, 1], covariance_type="spherical", weights=[0.2, 0.8]))
    assert inner[0].get_facecolor()[3] == pytest.approx(inner[1].get_facecolor()[3] / 4)


def test_samples_have_the_colours_of_their_components():
    X, labels = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    figure = plots.gaussian_ellipses(MEANS, [1, 1], covariance_type="spherical", X=X, labels=labels)
    clouds, (inner, _) = figure.axes[0].collections, ellipses(figure)
    assert [len(cloud.get_offsets()) for cloud in clouds] == [10, 10]
    for cloud, ellipse in zip(clouds, inner, strict=True):
        assert to_hex(cloud.get_facecolor()[0]) == to_hex(ellipse.get_edgecolor())
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["0", "1"]
    only = plots.gaussian_ellipses(MEANS, [1, 1], covariance_type="spherical", X=X, labels=np.ones(20, int))
    assert to_hex(only.axes[0].collections[0].get_facecolor()[0]) == to_hex(ellipses(only)[0][1].get_edgecolor())
    grey = plots.gaussian_ellipses(MEANS, [1, 1], covariance_type="spherical", X=X)
    assert len(grey.axes[0].collections) == 1
    assert grey.axes[0].get_legend() is None


def test_more_components_than_colours():
    figure = plots.gaussian_ellipses(np.arange(24).reshape(12, 2), np.ones(12), covariance_type="spherical")
    assert len(ellipses(figure)[0]) == 12


def test_log_likelihood_curves():
    panel = plots.log_likelihood_curve([-3.0, -2.0, -1.5]).axes[0]
    assert panel.lines[0].get_xydata().tolist() == [[1, -3], [2, -2], [3, -1.5]]
    assert panel.get_legend() is None
    panel = plots.log_likelihood_curve({"a": np.array([-3.0, -2.0, np.nan]), "b": [-4.0]}).axes[0]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["a", "b"]
    assert panel.lines[0].get_ydata().tolist() == [-3, -2]


def test_criterion_table_writes_numbers_and_frames_the_best():
    values = [[1250.0, 1210.5, np.nan], [1251.0, 1213.5, np.inf]]
    panel = plots.criterion_table([1, 2, 5], ["full", "diag"], values, name="ICL").axes[0]
    assert [text.get_text() for text in panel.texts] == ["40", "0", "–", "40", "3.0", "–"]
    frames = [patch for patch in panel.patches if not patch.get_fill()]
    assert [frame.get_xy() for frame in frames] == [(1, 0)]
    assert panel.get_title() == "ICL above its least value, 1,210.5"
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1", "2", "5"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["full", "diag"]
    assert panel.get_ylim()[0] > panel.get_ylim()[1]  # the first row is on top
    own = plots.criterion_table([1, 2, 5], ["full", "diag"], values, differences=False).axes[0]
    assert [text.get_text() for text in own.texts] == ["1,250", "1,210", "–", "1,251", "1,214", "–"]
    assert own.get_title() == "BIC"


def test_the_figure_of_a_sweep_shows_its_criterion_and_what_failed():
    X = np.repeat(np.array([[0.0, 0.0], [1.0, 5.0], [4.0, 1.0]]), 5, axis=0)
    found = sweep(X, [1, 3, 16], ["full", "diag"], reg_covar=0.0, random_state=0)
    panel = found.figure("aic").axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["full", "diag"]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1", "3", "16"]
    assert [text.get_text() for text in panel.texts].count("–") == 4
    assert panel.get_title().startswith("AIC")
    assert found.figure().axes[0].get_title().startswith("BIC")
    with pytest.raises(ValueError, match="criterion: expected one of 'bic', 'aic', 'icl', got 'BIC'"):
        found.figure("BIC")


def test_better_cells_are_darker():
    mesh = plots.criterion_table([1, 2, 3], ["full"], [[-5.0, 100.0, 3.0]]).axes[0].collections[0]
    assert np.argsort(mesh.get_array().ravel()).tolist() == [1, 2, 0]


def test_a_table_of_one_cell():
    assert plots.criterion_table([2], ["full"], [[7.0]]).axes[0].texts[0].get_text() == "0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.gaussian_ellipses([0, 0], [1]), r"means: expected shape \(K, 2\), got \(2,\)"),
        (lambda: plots.gaussian_ellipses(MEANS, np.eye(2)), r"covariances: expected shape \(2, 2, 2\), got \(2, 2\)"),
        (
            lambda: plots.gaussian_ellipses(MEANS, [1], covariance_type="spherical"),
            r"covariances: expected shape \(2,\), got \(1,\)",
        ),
        (lambda: plots.gaussian_ellipses(MEANS, [1, 1], covariance_type="round"), "covariance_type: expected one of"),
        (
            lambda: plots.gaussian_ellipses(MEANS, np.eye(2), covariance_type="tied", weights=[0.5, 1.5]),
            r"weights: expected 2 numbers in \[0, 1\], got \[0.5, 1.5\]",
        ),
        (
            lambda: plots.gaussian_ellipses(MEANS, np.eye(2), covariance_type="tied", X=np.zeros((4, 3))),
            r"X: expected shape \(N, 2\), got \(4, 3\)",
        ),
        (
            lambda: plots.gaussian_ellipses(MEANS, np.eye(2), covariance_type="tied", X=np.zeros((1, 2)), labels=[2]),
            r"labels: expected components in \[0, 2\), got \[2\]",
        ),
        (
            lambda: plots.gaussian_ellipses(MEANS, np.eye(2), covariance_type="tied", labels=[0, 1]),
            "labels: expected None without X",
        ),
        (lambda: plots.log_likelihood_curve([]), "lower_bounds: expected at least one value, all finite"),
        (lambda: plots.log_likelihood_curve({}), "lower_bounds: expected at least one curve, got none"),
        (lambda: plots.log_likelihood_curve({"a": [[1.0]]}), r"lower_bounds of 'a': expected .* got shape \(1, 1\)"),
        (lambda: plots.criterion_table([1, 2], ["full"], [[1.0]]), r"values: expected shape \(1, 2\), got \(1, 1\)"),
        (lambda: plots.criterion_table([1], ["full"], [[np.nan]]), "values: expected at least one finite number"),
        (lambda: plots.criterion_table([], ["full"], [[]]), "values: expected at least one finite number"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
