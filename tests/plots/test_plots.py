import numpy as np
import pytest
import torch
from matplotlib.patches import Ellipse
from PIL import Image

from latentcore import plots


def test_loss_curves_have_a_panel_per_term():
    figure = plots.loss_curves({"loss": [3.0, 2.0], "kl": [0.0, 1.0]})
    assert [axes.get_title() for axes in figure.axes] == ["loss", "kl"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.0, 1.0]


def test_image_grid_lays_rows_out():
    images = torch.arange(3.0).view(3, 1, 1).expand(3, 2, 2) / 4
    grid = plots.image_grid(images, 2)
    assert grid.shape == (5, 5)
    assert grid[0, 0] == 0
    assert grid[0, 3] == 0.25
    assert grid[3, 0] == 0.5
    assert grid[3, 3] == 1  # filled up with white
    assert plots.image_grid(torch.rand(4, 3, 5, 6), 4).shape == (5, 27, 3)


def test_reconstructions_put_originals_above():
    figure = plots.reconstructions(torch.ones(4, 1, 8, 8), torch.zeros(4, 1, 8, 8))
    picture = figure.axes[0].images[0].get_array()
    assert picture[2, 2] == 0
    assert picture[12, 2] == 1


def test_normal_grid_runs_right_and_up():
    grid = plots.normal_grid(3).view(3, 3, 2)
    assert grid[0, 0, 0] == pytest.approx(-1.6449, abs=1e-4)
    assert grid[0, 0, 1] == pytest.approx(1.6449, abs=1e-4)
    assert grid[1, 1].abs().max() < 1e-6


def test_latent_scatter_draws_two_ellipses_a_gaussian():
    covariances = np.array([[[4.0, 0.0], [0.0, 1.0]]])
    figure = plots.latent_scatter(torch.rand(9, 2).numpy(), np.arange(9) % 3, means=[[0, 0]], covariances=covariances)
    ellipses = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    assert [(e.width, e.height, e.angle % 180) for e in ellipses] == [(4, 2, 0), (8, 4, 0)]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["0", "1", "2"]
    words = {"means": [[0, 0], [1, 1]], "covariances": np.array([4.0, 1.0]), "covariance_type": "spherical"}
    figure = plots.latent_scatter(torch.rand(9, 2).numpy(), **words)
    assert [patch.width for patch in figure.axes[0].patches] == [4, 8, 2, 4]


def test_rotations_name_the_angles():
    figure = plots.rotations(torch.rand(2, 3, 1, 5, 5), [0, 30, 60.5])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0°", "30°", "60.5°"]


def test_strokes_are_black_on_white_and_colours_stay():
    red = torch.zeros(4, 3, 5, 5)
    red[:, 0] = 1
    assert plots.manifold(red).axes[0].images[0].get_array()[2, 2].tolist() == [1, 0, 0]
    assert plots.manifold(torch.zeros(4, 5, 5)).axes[0].images[0].get_array()[2, 2] == 1


def test_more_classes_and_terms_than_colours():
    figure = plots.latent_scatter(np.random.default_rng(0).normal(size=(24, 2)), np.arange(24) % 12)
    assert len(figure.axes[0].collections) == 12
    panels = plots.loss_curves({f"term {i}": [2.0, 1.0] for i in range(12)}).axes
    assert [len(panel.lines) for panel in panels] == [1] * 12


def test_a_full_disk_leaves_no_picture(tmp_path, monkeypatch):
    figure = plots.manifold(torch.rand(4, 1, 7, 7))

    def full(path, **kwargs):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        plots.save_figure(figure, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_saved_figures_are_pictures(tmp_path):
    plots.save_figure(plots.manifold(torch.rand(16, 1, 7, 7)), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (900, 900)
        assert np.asarray(picture.convert("L")).std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.manifold(torch.rand(15, 1, 7, 7)), "images: expected a square number"),
        (lambda: plots.latent_scatter(np.zeros((3, 3))), r"z: expected shape \(N, 2\)"),
        (lambda: plots.latent_scatter(np.zeros((3, 2)), [1, 2]), r"labels: expected shape \(3,\), got \(2,\)"),
        (lambda: plots.latent_scatter(np.zeros((3, 2)), means=[[0, 0]]), r"covariances: expected shape \(1, 2, 2\)"),
        (lambda: plots.latent_scatter(np.zeros((3, 2)), means=[0, 0]), r"means: expected shape \(K, 2\)"),
        (lambda: plots.loss_curves({}), "terms: expected at least one term"),
        (lambda: plots.image_grid(torch.rand(2, 1, 5, 5), 0), r"columns: expected an int in \[1, "),
        (lambda: plots.image_grid(torch.rand(2, 2, 5, 5), 2), "images: expected shape"),
        (lambda: plots.reconstructions(torch.rand(2, 1, 5, 5), torch.rand(3, 1, 5, 5)), "decoded: expected shape"),
        (lambda: plots.rotations(torch.rand(2, 3, 1, 5, 5), [0]), "images: expected shape"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
