"""Walks through the latent space, traversals, sums and samples: latents are the right ones, images stand in place."""

import math

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from PIL import Image

from latentcore import plots


def texts(items):
    return [item.get_text() for item in items]


@pytest.mark.parametrize(
    "figure",
    [
        plots.interpolation({"a": torch.rand(4, 1, 9, 9), "b": torch.rand(4, 1, 9, 9)}),
        plots.interpolation({"a": torch.rand(2, 3, 9, 7)}),
        plots.latent_arithmetic(torch.rand(2, 4, 1, 9, 9)),
        plots.latent_arithmetic(torch.rand(1, 3, 3, 9, 7), ["−", "="], labels=["a", "b", "c"]),
        plots.traversals(torch.rand(3, 5, 1, 9, 9), values=range(5)),
        plots.samples(torch.rand(7, 3, 9, 9), 3),
    ],
)
def test_figures_are_drawn(figure, tmp_path):
    plots.save_figure(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


@pytest.mark.parametrize("how", ["linear", "spherical"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_walks_begin_and_end_exactly(how, dtype):
    a, b = torch.randn(2, 16).to(dtype)
    walk = plots.interpolate(a, b, 7, how)
    assert walk.shape == (7, 16)
    assert walk.dtype == dtype
    assert torch.equal(walk[0], a)
    assert torch.equal(walk[-1], b)


def test_the_straight_way_has_equal_steps():
    a, b = torch.randn(2, 16, dtype=torch.float64)
    steps = plots.interpolate(a, b, 5).diff(dim=0)
    torch.testing.assert_close(steps, ((b - a) / 4).expand(4, 16))


def test_the_spherical_way_has_equal_angles_and_keeps_the_length():
    a, b = 3 * torch.nn.functional.normalize(torch.randn(2, 16, dtype=torch.float64), dim=1)
    walk = plots.interpolate(a, b, 9, "spherical")
    torch.testing.assert_close(walk.norm(dim=1), torch.full((9,), 3.0, dtype=torch.float64))
    cosines = (walk[:-1] * walk[1:]).sum(1) / 9
    torch.testing.assert_close(cosines, torch.full((8,), math.cos(math.acos(float(a @ b) / 9) / 8)).double())
    assert float(plots.interpolate(a, b, 9).norm(dim=1).min()) < 2.9


@pytest.mark.parametrize("turn", [0.0, 1e-20, 1e-9, 1e-4])
def test_small_angles_are_exact(turn):
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    b = torch.tensor([math.cos(turn), math.sin(turn)], dtype=torch.float64)
    middle = plots.interpolate(a, b, 3, "spherical")[1]
    np.testing.assert_allclose(middle, [math.cos(turn / 2), math.sin(turn / 2)], rtol=1e-12)


def test_walks_between_latents_of_one_direction():
    walk = plots.interpolate(torch.tensor([1.0, 1.0]), torch.tensor([3.0, 3.0]), 3, "spherical")
    torch.testing.assert_close(walk, torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))


def test_a_traversal_changes_one_entry():
    z = torch.randn(4)
    before = z.clone()
    for values in ([-1, 0.5], torch.tensor([-1.0, 0.5]), np.array([-1, 0.5])):
        latents = plots.traversal(z, 2, values)
        assert latents[:, 2].tolist() == [-1, 0.5]
        assert torch.equal(latents[:, [0, 1, 3]], z[[0, 1, 3]].expand(2, 3))
    assert torch.equal(z, before)


def test_walks_are_rows_with_framed_ends():
    first, second = torch.rand(2, 5, 1, 8, 6)
    panel = plots.interpolation({"linear": first, "spherical": second[:, 0].double()}, ends=("3", "8")).axes[0]
    assert texts(panel.get_yticklabels()) == ["linear", "spherical"]
    assert texts(panel.get_xticklabels()) == ["3", "8"]
    assert list(panel.get_xticks()) == [2.5, 30.5]
    shown = panel.images[0].get_array()
    assert shown.shape == (17, 34)
    assert np.array_equal(shown[9:, 14:20], 1 - second[2, 0].numpy())  # black on white
    frames = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    assert [frame.get_xy() for frame in frames] == [(-1, -1), (-1, 8), (27, -1), (27, 8)]
    assert {(frame.get_width(), frame.get_height()) for frame in frames} == {(7, 9)}


def test_traversals_name_axes_and_values():
    images = torch.rand(2, 3, 3, 8, 6, requires_grad=True)
    panel = plots.traversals(images, values=[-2, 0, 2.5]).axes[0]
    assert texts(panel.get_yticklabels()) == ["$z_{1}$", "$z_{2}$"]
    assert texts(panel.get_xticklabels()) == ["−2", "0", "2.5"]
    expected = images[1, 2].detach().permute(1, 2, 0).numpy()
    assert np.array_equal(panel.images[0].get_array()[9:, 14:], expected)
    panel = plots.traversals(images, labels=["slant", "width"]).axes[0]
    assert texts(panel.get_yticklabels()) == ["slant", "width"]
    assert not texts(panel.get_xticklabels())


def test_samples_fill_rows():
    images = torch.rand(5, 4, 6)
    shown = plots.samples(images, 3).axes[0].images[0].get_array()
    assert shown.shape == (9, 20)
    assert np.array_equal(shown[5:, 7:13], 1 - images[4].numpy())
    assert (shown[5:, 14:] == 1).all()
    coloured = plots.samples(torch.zeros(5, 3, 4, 6), 3).axes[0].images[0].get_array()
    assert (coloured[5:, 14:] == 1).all()
    assert plots.samples(images, 100).axes[0].images[0].get_array().shape == (4, 34)


def test_operators_stand_between_the_images():
    images = torch.rand(2, 4, 1, 8, 6)
    panel = plots.latent_arithmetic(images, labels=["a", "b", "c", "d"]).axes[0]
    assert texts(panel.texts) == ["−", "+", "="] * 2
    assert texts(panel.get_xticklabels()) == ["a", "b", "c", "d"]
    extents = [image.get_extent() for image in panel.images]
    for row, operator in enumerate(panel.texts[::3]):
        x, y = operator.get_position()
        left, right = extents[4 * row], extents[4 * row + 1]
        assert left[1] < x < right[0]
        assert x - left[1] == pytest.approx(right[0] - x)
        assert y == pytest.approx((left[2] + left[3]) / 2)
    assert np.array_equal(panel.images[6].get_array(), images[1, 2, 0].numpy())
    assert panel.images[0].get_cmap()(1.0)[:3] == (0, 0, 0)  # black on white


def test_coloured_sums():
    images = torch.rand(1, 3, 3, 8, 6)
    panel = plots.latent_arithmetic(images, ["−", "="]).axes[0]
    assert np.array_equal(panel.images[2].get_array(), images[0, 2].permute(1, 2, 0).numpy())


UNIT = torch.tensor([1.0, 0.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.interpolate(UNIT, UNIT, 1), r"steps: expected an int in \[2, "),
        (lambda: plots.interpolate(UNIT, UNIT, 2, "round"), "how: expected one of 'linear', 'spherical', got 'round'"),
        (lambda: plots.interpolate(UNIT, torch.ones(3), 2), r"b: expected shape \(2,\), got \(3,\)"),
        (lambda: plots.interpolate(torch.ones(1, 2), UNIT, 2), r"a: expected shape \(L,\), got \(1, 2\)"),
        (lambda: plots.interpolate(UNIT, 0 * UNIT, 2, "spherical"), "a, b: expected no zero vector"),
        (lambda: plots.interpolate(UNIT, -2 * UNIT, 2, "spherical"), "a, b: expected vectors that do not point in opp"),
        (lambda: plots.interpolate(UNIT, UNIT * math.nan, 2), "a, b: expected finite numbers"),
        (lambda: plots.traversal(UNIT, 2, [0]), r"axis: expected an int in \[0, 1\], got 2"),
        (lambda: plots.traversal(UNIT, 0, []), r"values: expected shape \(T,\), T >= 1, got \(0,\)"),
        (lambda: plots.interpolation({}), "rows: expected at least one walk, got none"),
        (lambda: plots.interpolation({"a": torch.rand(1, 5, 5)}), r"rows\['a'\]: expected at least two images, got 1"),
        (
            lambda: plots.interpolation({"a": torch.rand(3, 5, 5), "b": torch.rand(2, 5, 5)}),
            r"rows\['b'\]: expected shape \(3, 1, 5, 5\), got \(2, 1, 5, 5\)",
        ),
        (lambda: plots.traversals(torch.rand(2, 1, 5, 5)), r"images: expected shape \(L, T, C, H, W\)"),
        (lambda: plots.traversals(torch.rand(2, 3, 2, 5, 5)), "images: expected shape"),
        (lambda: plots.traversals(torch.rand(2, 3, 1, 5, 5), values=[0]), "values: expected 3 numbers, got 1"),
        (lambda: plots.traversals(torch.rand(2, 3, 1, 5, 5), labels=["a"]), "labels: expected 2 words, got 1"),
        (lambda: plots.latent_arithmetic(torch.rand(4, 1, 5, 5)), r"images: expected shape \(R, T, C, H, W\)"),
        (lambda: plots.latent_arithmetic(torch.rand(1, 1, 1, 5, 5)), r"images: expected shape .*, T >= 2, "),
        (lambda: plots.latent_arithmetic(torch.rand(1, 4, 2, 5, 5)), "images: expected shape .* C 1 or 3, got"),
        (lambda: plots.latent_arithmetic(torch.rand(1, 3, 1, 5, 5)), "operators: expected 2 of them, one between two"),
        (lambda: plots.latent_arithmetic(torch.rand(1, 4, 1, 5, 5), labels=["a"]), "labels: expected 4 words, got 1"),
        (lambda: plots.samples(torch.rand(0, 1, 5, 5), 3), "images: expected shape"),
        (lambda: plots.samples(torch.rand(3, 1, 5, 5), 0), r"columns: expected an int in \[1, "),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_types():
    with pytest.raises(TypeError, match=r"a: expected float32 or float64 or float16 or bfloat16, got torch\.int64"):
        plots.interpolate(torch.tensor([1, 0]), UNIT, 2)
    with pytest.raises(TypeError, match=r"b: expected the dtype of a, torch\.float32, got torch\.float64"):
        plots.interpolate(UNIT, UNIT.double(), 2)
    with pytest.raises(TypeError, match="axis: expected an int, got float"):
        plots.traversal(UNIT, 0.0, [1])
    with pytest.raises(TypeError, match=r"rows\['a'\]: expected a torch.Tensor, got ndarray"):
        plots.interpolation({"a": np.zeros((2, 5, 5))})
