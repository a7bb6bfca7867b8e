"""Latents on principal axes, by t-SNE and of several models: the pictures show the numbers that they are given."""

import io
import math
import sys

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image
from rich.console import Console
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from children import run_child
from latentcore import plots
from latentcore.plots import embeddings
from latentcore.plots.style import PALETTE

LABELS = np.arange(200) % 4


def texts(items):
    return [item.get_text() for item in items]


def groups(n=200, dimensions=8):
    """Four groups far apart."""
    return np.random.default_rng(0).normal(size=(n, dimensions)) + 9 * np.eye(dimensions)[np.arange(n) % 4]


def drawn(panel):
    """Points and their colours, in the order in which they are drawn."""
    cloud = panel.collections[0]
    return np.asarray(cloud.get_offsets()), [to_hex(colour).upper() for colour in cloud.get_facecolors()]


@pytest.mark.parametrize(
    "figure",
    [
        plots.latent_projection(torch.randn(30, 5), torch.arange(30) % 3),
        plots.latent_projection(torch.randn(30, 5), torch.arange(30) % 3, axes=3),
        plots.latent_projection(np.ones((3, 3)), axes=3),
        plots.tsne_scatter(torch.randn(30, 2), ["a", "b"] * 15),
        plots.losses_by_run({"a": {"loss": [2.0, 1.0]}, "b": {"kl": [1.0]}}),
        plots.latent_panels({str(n): (torch.randn(30, n), None) for n in (2, 3, 4, 5)}),
    ],
)
def test_figures_are_drawn(figure, tmp_path):
    plots.save_figure(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.parametrize("size", [(200, 8), (5, 40), (8, 8)])
def test_principal_axes_are_those_of_scikit_learn(size):
    z = np.random.default_rng(1).normal(size=size) * np.linspace(3, 1, size[1]) + 7
    model = PCA(3, svd_solver="full").fit(z)
    coordinates, shares, components = plots.pca(torch.from_numpy(z), 3)
    np.testing.assert_allclose(shares, model.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(components, model.components_, atol=1e-9)
    np.testing.assert_allclose(coordinates, model.transform(z), atol=1e-8)
    np.testing.assert_allclose(components @ components.T, np.eye(3), atol=1e-12)


def test_signs_do_not_depend_on_the_samples_order():
    z = groups()
    expected = plots.pca(z, 3)[2]
    np.testing.assert_allclose(plots.pca(z[::-1], 3)[2], expected, atol=1e-9)
    np.testing.assert_allclose(plots.pca(torch.tensor(z, requires_grad=True), 3)[2], expected)


def test_equal_samples_have_no_variance():
    coordinates, shares, _ = plots.pca(np.ones((4, 3)), 2)
    assert not coordinates.any()
    assert not shares.any()


def test_projection_in_the_plane():
    z = groups()
    panel = plots.latent_projection(z, LABELS).axes[0]
    coordinates, shares, _ = plots.pca(z, 2)
    points, colours = drawn(panel)
    order = np.lexsort(points.T)
    np.testing.assert_allclose(points[order], coordinates[np.lexsort(coordinates.T)])
    assert [colours[i] for i in order] == [PALETTE[c] for c in LABELS[np.lexsort(coordinates.T)]]
    assert panel.get_xlabel() == f"principal axis 1 ({100 * shares[0]:.0f} % of the variance)"
    assert panel.get_aspect() == 1
    assert panel.collections[0].get_rasterized()


def test_labels_stand_in_a_legend():
    figure = plots.latent_projection(groups(), np.array(["d", "a", "c", "b"])[LABELS])
    legend = figure.legends[0]
    assert texts(legend.get_texts()) == ["a", "b", "c", "d"]
    assert [handle.get_color() for handle in legend.legend_handles] == list(PALETTE[:4])
    assert not plots.latent_projection(groups()).legends
    many = plots.latent_projection(groups(), np.arange(200) % 45).legends[0]
    assert many._ncols == 3


def test_no_label_is_drawn_last():
    _, colours = drawn(plots.latent_projection(groups(), np.sort(LABELS)).axes[0])
    assert len(set(colours[-20:])) == 4  # the order is by lot
    _, again = drawn(plots.latent_projection(groups(), np.sort(LABELS)).axes[0])
    assert colours == again


def test_many_points_are_small_and_transparent():
    few, many = (
        plots.tsne_scatter(np.random.default_rng(0).random((n, 2))).axes[0].collections[0] for n in (50, 70000)
    )
    assert many.get_sizes()[0] < 2 < 20 < few.get_sizes()[0]
    assert many.get_alpha() < 0.5 < few.get_alpha()


def test_projection_in_space():
    z = groups()
    figure = plots.latent_projection(z, LABELS, axes=3)
    panel = figure.axes[0]
    shadows, cloud = panel.collections
    assert cloud.get_rasterized()
    assert shadows.get_rasterized()
    coordinates, shares, _ = plots.pca(z, 3)
    x, y, height = cloud._offsets3d
    found = np.column_stack([x, y, height])
    np.testing.assert_allclose(found[np.lexsort(found.T)], coordinates[np.lexsort(coordinates.T)])
    assert max(shadows._offsets3d[2]) == panel.get_zlim()[0] < coordinates[:, 2].min()
    assert panel.get_zlabel() == f"principal axis 3\n({100 * shares[2]:.0f} % of the variance)"
    assert texts(figure.legends[0].get_texts()) == ["0", "1", "2", "3"]


def test_tsne_keeps_groups_together():
    points = plots.tsne(torch.from_numpy(groups()).float(), progress=False)
    assert points.shape == (200, 2)
    assert points.dtype == np.float64
    assert KNeighborsClassifier(5).fit(points, LABELS).score(points, LABELS) > 0.99


def test_tsne_is_a_function_of_the_seed():
    first, again, other = (plots.tsne(groups(60), perplexity=5, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_latents_that_coincide_have_places():
    assert np.isfinite(plots.tsne(np.repeat(groups(4), 15, axis=0), perplexity=5)).all()


def test_a_bar_is_shown_on_a_terminal_only(monkeypatch):
    written = io.StringIO()
    for terminal in (False, True):
        console = Console(file=written, force_terminal=terminal, width=100)
        monkeypatch.setattr(embeddings, "Console", lambda console=console, **_: console)
        with_bar = plots.tsne(groups(60), perplexity=5)
        assert bool(written.getvalue()) == terminal
    assert "750/750" in written.getvalue()
    assert "nats" in written.getvalue()
    length = len(written.getvalue())
    assert np.array_equal(with_bar, plots.tsne(groups(60), perplexity=5, progress=False))
    assert len(written.getvalue()) == length


def test_without_opentsne_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(ImportError, match=r"^openTSNE: expected the extra \[tsne\]"):
        plots.tsne(groups())


@pytest.mark.long
def test_opentsne_is_imported_when_it_is_needed():
    code = "import sys; import latentcore.plots; sys.exit('openTSNE' in sys.modules)"
    assert run_child([sys.executable, "-c", code]).returncode == 0


def test_tsne_scatter_has_no_axes():
    panel = plots.tsne_scatter(groups()[:, :2], LABELS).axes[0]
    assert not panel.axison
    assert len(drawn(panel)[0]) == 200


def test_runs_have_a_line_in_each_panel():
    histories = {
        "small": {"loss": [3.0, 2.0], "kl": [0.0, 1.0]},
        "large": {"loss": [2.0, math.nan, 1.0], "auc": [0.5, 0.6, 0.7]},
    }
    figure = plots.losses_by_run(histories, ylabel="nats")
    loss, kl, auc = figure.axes
    assert [panel.get_title() for panel in figure.axes] == ["loss", "kl", "auc"]
    small, large = loss.lines
    assert small.get_xydata().tolist() == [[1, 3], [2, 2]]
    np.testing.assert_array_equal(large.get_ydata(), [2, np.nan, 1])
    assert (small.get_color(), large.get_color()) == PALETTE[:2]
    assert small.get_linestyle() != large.get_linestyle()  # told apart in print without colours too
    assert [line.get_color() for line in (*kl.lines, *auc.lines)] == list(PALETTE[:2])
    assert texts(figure.legends[0].get_texts()) == ["small", "large"]
    assert figure.get_supylabel() == "nats"


@pytest.mark.parametrize(("terms", "rows"), [(1, [1]), (3, [3]), (4, [2, 2]), (5, [3, 2])])
def test_panels_stand_in_rows_of_three(terms, rows):
    figure = plots.losses_by_run({"a": {str(term): [1.0] for term in range(terms)}})
    figure.draw_without_rendering()
    heights = [round(panel.get_position().y0, 3) for panel in figure.axes]
    assert [heights.count(height) for height in dict.fromkeys(heights)] == rows


def test_models_share_the_colours_of_their_labels():
    z = groups()
    some = LABELS > 1
    figure = plots.latent_panels({"L = 2": (z[:, :2], LABELS), "L = 8": (torch.from_numpy(z[some]), LABELS[some])})
    plane, projected = figure.axes
    assert [plane.get_title(), projected.get_title()] == ["L = 2", "L = 8"]
    assert (plane.get_xlabel(), plane.get_ylabel()) == ("$z_1$", "$z_2$")
    assert projected.get_xlabel().startswith("principal axis 1 (")
    assert set(drawn(projected)[1]) == set(PALETTE[2:4])
    points, colours = drawn(plane)
    place = int(np.flatnonzero((points == z[6, :2]).all(1))[0])
    assert colours[place] == PALETTE[2]
    assert texts(figure.legends[0].get_texts()) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.pca(np.zeros(3), 1), r"z: expected shape \(N, L\), N >= 1, L >= 1, got \(3,\)"),
        (lambda: plots.pca(np.zeros((2, 3)), 3), r"axes: expected an int in \[1, 2\], got 3"),
        (lambda: plots.pca([[0.0, math.nan]], 1), "z: expected finite numbers, got NaN or infinity"),
        (lambda: plots.latent_projection(np.zeros((9, 3)), axes=4), r"axes: expected an int in \[2, 3\], got 4"),
        (lambda: plots.latent_projection(np.zeros((9, 2)), axes=3), r"axes: expected an int in \[1, 2\], got 3"),
        (lambda: plots.latent_projection(np.zeros((9, 3)), [1]), r"labels: expected shape \(9,\), got \(1,\)"),
        (lambda: plots.tsne(np.zeros((200, 1))), r"z: expected shape \(N, L\), L >= 2, got \(200, 1\)"),
        (lambda: plots.tsne(np.zeros((200, 2))), "z: expected latents that differ, got 200 equal ones"),
        (lambda: plots.tsne(groups(30)), r"perplexity: expected a number in \[1, 9.66667\], .*, got 30"),
        (lambda: plots.tsne(groups(), perplexity=math.nan), "perplexity: expected a number in"),
        (lambda: plots.tsne(groups(), seed=-1), r"seed: expected an int in \[0, 4294967295\], got -1"),
        (lambda: plots.tsne_scatter(np.zeros((9, 3))), r"points: expected shape \(N, 2\), got \(9, 3\)"),
        (lambda: plots.losses_by_run({}), "histories: expected at least one run, got none"),
        (lambda: plots.losses_by_run({"a": {}}), r"histories\['a'\]: expected at least one term, got none"),
        (
            lambda: plots.losses_by_run({"a": {"loss": [math.nan]}}),
            r"histories\['a'\]\['loss'\]: expected at least one finite number, got \[nan\]",
        ),
        (lambda: plots.latent_panels({}), "models: expected at least one model, got none"),
        (
            lambda: plots.latent_panels({"a": (np.zeros((9, 1)), None)}),
            r"models\['a'\]: expected shape \(N, L\), N >= 2, L >= 2, got \(9, 1\)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_types():
    with pytest.raises(TypeError, match="axes: expected an int, got float"):
        plots.latent_projection(groups(), axes=2.0)
    with pytest.raises(TypeError, match=r"perplexity: expected a number in .*, got str"):
        plots.tsne(groups(), perplexity="30")
