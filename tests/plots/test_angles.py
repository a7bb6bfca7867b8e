"""Pictures of transformations: they show the numbers that they are given, and films are read back as written."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image, ImageSequence

from latentcore import plots
from latentcore.plots.style import PALETTE

TURN = list(range(0, 360, 30))
CIRCLE = torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in TURN], dtype=torch.float64)


def texts(items):
    return [item.get_text() for item in items]


def ordered_frames(n, *size):
    """Frames of different grey levels of 1/255, so that they are exact."""
    return torch.randint(0, 256, (n, *size), generator=torch.Generator().manual_seed(n)) / 255


def read(path):
    """The frames of a film as they are shown, and for how long each."""
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0  # for ever
        shown = [(np.asarray(f.convert("RGB")), f.info["duration"]) for f in ImageSequence.Iterator(picture)]
    pixels, durations = zip(*shown, strict=True)
    return np.stack(pixels), list(durations)


@pytest.mark.parametrize(
    "figure",
    [
        plots.angle_grid({"a": torch.rand(3, 1, 9, 9), "b": torch.rand(3, 1, 9, 9)}, [0, 45, 90]),
        plots.angle_grid({"a": torch.rand(2, 3, 3, 9, 9)}, [0, 45, 90]),
        plots.psnr_curve({"a": [30.0, math.inf, 20.0], "b": [10.0, 12.0, 11.0]}, [0, 180, 360]),
        plots.orbit(torch.rand(12, 12, 5), TURN),
        plots.orbit(torch.rand(1, 2, 2), [0, 10]),
    ],
)
def test_figures_are_drawn(figure, tmp_path):
    plots.save_figure(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5


def test_grid_has_a_row_per_method_and_a_column_per_angle():
    first, second = torch.rand(2, 3, 1, 8, 6)
    panel = plots.angle_grid({"input": first, "decoded": second}, [0, 30, 60.5]).axes[0]
    assert texts(panel.get_yticklabels()) == ["input", "decoded"]
    assert texts(panel.get_xticklabels()) == ["0°", "30°", "60.5°"]
    shown = panel.images[0].get_array()
    assert shown.shape == (17, 20)
    assert np.array_equal(shown[9:, 7:13], 1 - second[1, 0].numpy())  # black on white
    assert list(panel.get_yticks()) == [3.5, 12.5]
    assert list(panel.get_xticks()) == [2.5, 9.5, 16.5]


def test_grid_of_several_digits_sets_them_apart():
    methods = torch.rand(2, 3, 2, 3, 8, 8)  # methods, digits, angles
    panel = plots.angle_grid({"a": methods[0], "b": methods[1]}, [0, 90]).axes[0]
    assert texts(panel.get_yticklabels()) == ["a", "b"] * 3
    shown = panel.images[0].get_array()
    tops = [round(centre - 3.5) for centre in panel.get_yticks()]
    assert tops == [0, 9, 20, 29, 40, 49]  # a gap of 1 between methods, of 3 between digits
    for row, top in enumerate(tops):
        expected = methods[row % 2, row // 2, 1].permute(1, 2, 0).numpy()
        assert np.array_equal(shown[top : top + 8, 9:], expected)
    assert len(shown) == 57
    assert (shown[17:20] == 1).all()


@pytest.mark.parametrize(("digits", "angles"), [(1, 12), (3, 12), (3, 2)])
def test_names_of_methods_are_not_cut_off(digits, angles):
    images = torch.rand(digits, angles, 1, 8, 8)
    figure = plots.angle_grid({"a rather long name": images, "b": images}, range(angles))
    figure.draw_without_rendering()
    assert min(label.get_window_extent().x0 for label in figure.axes[0].get_yticklabels()) >= 0


def test_grid_takes_images_of_any_dtype_with_gradients():
    images = torch.rand(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert plots.angle_grid({"a": images, "b": images.half()}, [0, 90]).axes[0].images[0].get_array().shape == (17, 17)


def test_curves_are_the_values():
    figure = plots.psnr_curve({"low": [20, math.inf, 22.0], "high": np.array([30.0, 31.0, 32.0])}, [0, 180, 360])
    panel = figure.axes[0]
    low, high = panel.lines
    np.testing.assert_array_equal(low.get_ydata(), [20, np.nan, 22])
    assert high.get_xydata().tolist() == [[0, 30], [180, 31], [360, 32]]
    assert texts(panel.get_legend().get_texts()) == ["high", "low"]
    assert [handle.get_marker() for handle in panel.get_legend().legend_handles] == [
        high.get_marker(),
        low.get_marker(),
    ]
    assert panel.get_ylabel() == "PSNR [dB]"
    assert plots.psnr_curve({"a": [0.5]}, [0], ylabel="SSIM").axes[0].get_ylabel() == "SSIM"


@pytest.mark.parametrize(("angles", "step"), [(range(0, 361, 15), 60), (range(-90, 91, 15), 30)])
def test_ticks_are_round_angles(angles, step):
    figure = plots.psnr_curve({"a": [1.0] * len(angles)}, list(angles))
    figure.draw_without_rendering()
    ticks = figure.axes[0].get_xticks()
    assert set(np.diff(ticks)) == {step}
    assert f"{step}°" in texts(figure.axes[0].get_xticklabels())


def test_lines_differ_without_colours_too():
    lines = plots.psnr_curve({str(i): [i, i] for i in range(10)}, [0, 90]).axes[0].lines
    assert len({line.get_marker() for line in lines}) == 10
    assert [line.get_color() for line in lines] == list(PALETTE)
    many = plots.psnr_curve({str(i): [i, i] for i in range(12)}, [0, 90]).axes[0].lines
    assert len({(line.get_color(), line.get_marker()) for line in many}) == 10  # they begin again


def test_many_angles_have_fewer_markers():
    lines = plots.psnr_curve({"a": [1.0] * 360, "b": [1.0] * 360}, list(range(360))).axes[0].lines
    assert [line.get_markevery() for line in lines] == [(0, 10), (1, 10)]
    panel = plots.orbit(torch.rand(1, 360, 2), range(360)).axes[0]
    assert len(panel.lines[0].get_xdata()) == 361
    assert len(panel.collections[0].get_offsets()) == 36


def test_a_circle_in_a_plane_of_eight_dimensions_is_a_circle():
    generator = torch.Generator().manual_seed(3)
    plane = torch.linalg.qr(torch.randn(8, 2, generator=generator, dtype=torch.float64))[0]
    points = 2 * CIRCLE @ plane.T + torch.randn(8, generator=generator, dtype=torch.float64)
    panel = plots.orbit(points[None], TURN).axes[0]
    line = panel.lines[0].get_xydata()
    np.testing.assert_allclose(np.hypot(*line.T), 2, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(np.diff(line, axis=0), axis=1), 4 * math.sin(math.pi / 12), atol=1e-12)
    assert panel.get_xlabel() == "principal axis 1 (50 % of the variance)"
    assert panel.get_ylabel() == "principal axis 2 (50 % of the variance)"
    assert panel.get_aspect() == 1


def test_principal_axes_are_those_of_all_orbits_together():
    apart = torch.tensor([[0.0, 0, 9, 0], [0, 0, -9, 0]])
    circle = torch.cat([CIRCLE, torch.zeros(12, 2)], dim=1)
    panel = plots.orbit(apart[:, None] + circle, TURN).axes[0]
    assert panel.get_xlabel() == "principal axis 1 (99 % of the variance)"
    np.testing.assert_allclose([line.get_xdata() for line in panel.lines], np.full((2, 13), [[9], [-9]]), atol=1e-12)


def test_points_of_the_plane_stay():
    panel = plots.orbit(torch.stack([CIRCLE, 3 + CIRCLE]), TURN, labels=["seven", 4]).axes[0]
    first, second = panel.lines
    np.testing.assert_array_equal(first.get_xydata(), torch.cat([CIRCLE, CIRCLE[:1]]))  # closed
    np.testing.assert_array_equal(panel.collections[1].get_offsets(), 3 + CIRCLE)
    assert to_hex(panel.collections[1].get_edgecolors()[0]) == to_hex(second.get_color())
    assert texts(panel.texts) == ["seven", "4"]
    assert tuple(panel.texts[1].xy) == (4, 3)
    assert texts(plots.orbit(CIRCLE.expand(2, 12, 2), TURN, labels=torch.tensor([7, 4])).axes[0].texts) == ["7", "4"]
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("$z_1$", "$z_2$")


@pytest.mark.parametrize(
    ("angles", "closed"),
    [(TURN, True), (range(0, 361, 30), True), (range(345, -1, -15), True), (range(0, 181, 10), False), ([0, 0], False)],
)
def test_only_full_turns_are_closed(angles, closed):
    panel = plots.orbit(torch.rand(1, len(angles), 2), angles).axes[0]
    assert len(panel.lines[0].get_xdata()) == len(angles) + closed


def test_shades_are_cyclic():
    colours = plots.orbit(torch.rand(1, 4, 2), [-90, 0, 270, 180]).axes[0].collections[0].get_facecolors()
    assert np.array_equal(colours[0], colours[2])
    assert not np.array_equal(colours[1], colours[3])
    bar = plots.orbit(torch.rand(1, 4, 2), [0, 1, 2, 3]).axes[1]
    assert texts(bar.get_yticklabels()) == ["0°", "60°", "120°", "180°", "240°", "300°", "360°"]


def test_orbits_that_stand_still():
    assert plots.orbit(torch.ones(1, 3, 4), [0, 1, 2]).axes[0].get_xlabel().startswith("principal axis 1 (0 %")


@pytest.mark.parametrize("size", [(5, 7), (1, 5, 7)])
def test_grey_films_are_read_back_exactly(tmp_path, size):
    frames = ordered_frames(4, *size)
    plots.save_gif(frames, tmp_path / "a.gif", milliseconds=250, enlarge=3)
    pixels, durations = read(tmp_path / "a.gif")
    assert durations == [250] * 4
    expected = (255 * frames).round().view(4, 5, 7).repeat_interleave(3, 1).repeat_interleave(3, 2)
    assert np.array_equal(pixels, expected.unsqueeze(-1).expand(4, 15, 21, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_coloured_films(tmp_path):
    frames = ordered_frames(3, 3, 4, 4)  # fewer than 256 colours
    plots.save_gif(frames, tmp_path / "a.gif", enlarge=1)
    pixels, durations = read(tmp_path / "a.gif")
    assert durations == [80] * 3
    np.testing.assert_allclose(pixels, (255 * frames).permute(0, 2, 3, 1), atol=1)


def test_values_outside_are_cut_off(tmp_path):
    frames = torch.tensor([-0.5, 1.5, 0.0]).view(3, 1, 1)
    plots.save_gif(frames, tmp_path / "a.gif", enlarge=1)
    assert read(tmp_path / "a.gif")[0][:, 0, 0, 0].tolist() == [0, 255, 0]


def test_equal_frames_are_one_that_lasts_longer(tmp_path):
    plots.save_gif(torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1), tmp_path / "a.gif", milliseconds=100)
    assert read(tmp_path / "a.gif")[1] == [200, 100]


def test_a_film_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")

    def full(picture, temporary, **kwargs):
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space left"):
        plots.save_gif(torch.rand(2, 4, 4), path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize("channels", [1, 3])
def test_digits_stand_side_by_side(channels):
    images = torch.rand(3, 2, channels, 4, 5)
    frames = plots.film(images)
    assert frames.shape == (2, channels, 4, 17)
    for digit in range(3):
        assert torch.equal(frames[..., 6 * digit : 6 * digit + 5], images[digit])
    assert (frames[..., [5, 11]] == 1).all()


def test_more_than_six_digits_stand_in_rows():
    images = torch.rand(7, 2, 1, 4, 5)
    frames = plots.film(images)
    assert frames.shape == (2, 1, 9, 23)
    assert torch.equal(frames[..., 5:, 12:17], images[6])
    assert (frames[..., 5:, 18:] == 1).all()
    assert plots.film(images[:6]).shape == (2, 1, 4, 35)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.angle_grid({}, [0]), "rows: expected at least one method, got none"),
        (
            lambda: plots.angle_grid({"a": torch.rand(2, 1, 5, 5)}, [0]),
            r"rows\['a'\]: expected shape \(R, 1, C, H, W\)",
        ),
        (lambda: plots.angle_grid({"a": torch.rand(0, 1, 5, 5)}, []), r"rows\['a'\]: expected at least one pixel"),
        (
            lambda: plots.angle_grid({"a": torch.rand(2, 1, 5, 5), "b": torch.rand(2, 1, 5, 6)}, [0, 1]),
            r"rows\['b'\]: expected shape \(1, 2, 1, 5, 5\), got \(1, 2, 1, 5, 6\)",
        ),
        (lambda: plots.angle_grid({"a": torch.rand(2, 2, 5, 5)}, [0, 1]), "images: expected shape"),
        (lambda: plots.psnr_curve({}, [0]), "curves: expected at least one curve, got none"),
        (lambda: plots.psnr_curve({"a": [1.0]}, [0, 1]), r"curves\['a'\]: expected shape \(2,\), got \(1,\)"),
        (lambda: plots.psnr_curve({"a": [math.inf]}, [0]), r"curves\['a'\]: expected at least one finite number"),
        (lambda: plots.psnr_curve({"a": []}, []), r"curves\['a'\]: expected at least one finite number"),
        (lambda: plots.orbit(torch.rand(3, 2), [0, 1]), r"points: expected shape \(R, 2, L\), got \(3, 2\)"),
        (lambda: plots.orbit(torch.rand(1, 2, 1), [0, 1]), "points: expected .* L >= 2, got"),
        (lambda: plots.orbit(torch.rand(1, 1, 2), [0]), "points: expected .* A >= 2, .* got"),
        (lambda: plots.orbit(torch.rand(0, 2, 2), [0, 1]), "points: expected .* R >= 1, .* got"),
        (lambda: plots.orbit(torch.full((1, 2, 3), math.nan), [0, 1]), "points: expected finite numbers"),
        (lambda: plots.orbit(torch.rand(2, 2, 2), [0, 1], labels=[1]), r"labels: expected shape \(2,\), got \(1,\)"),
        (lambda: plots.film(torch.rand(2, 1, 5, 5)), r"images: expected shape \(R, T, C, H, W\)"),
        (lambda: plots.film(torch.rand(0, 2, 1, 5, 5)), "images: expected at least one pixel"),
        (lambda: plots.film(torch.rand(2, 2, 2, 5, 5)), "images: expected shape"),
        (lambda: plots.save_gif(torch.rand(1, 5, 5), "a.gif"), "frames: expected at least two frames, got 1"),
        (lambda: plots.save_gif(torch.rand(2, 2, 5, 5), "a.gif"), "frames: expected shape"),
        (lambda: plots.save_gif(torch.rand(5, 5), "a.gif"), "frames: expected shape"),
        (lambda: plots.save_gif(torch.full((2, 5, 5), math.nan), "a.gif"), "frames: expected finite numbers"),
        (lambda: plots.save_gif(torch.rand(2, 5, 5), "a.gif", milliseconds=19), r"milliseconds: .* in \[20, 10000\]"),
        (lambda: plots.save_gif(torch.rand(2, 5, 5), "a.gif", milliseconds=10001), "milliseconds: expected"),
        (lambda: plots.save_gif(torch.rand(2, 5, 5), "a.gif", enlarge=0), r"enlarge: expected an int in \[1, 64\]"),
    ],
)
def test_errors(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.angle_grid({"a": [1]}, [0]), r"rows\['a'\]: expected a torch.Tensor, got list"),
        (lambda: plots.orbit([[0, 1]], [0]), "points: expected a torch.Tensor, got list"),
        (lambda: plots.film(np.zeros((1, 2, 1, 5, 5))), "images: expected a torch.Tensor, got ndarray"),
        (
            lambda: plots.save_gif(torch.zeros(2, 5, 5, dtype=torch.uint8), "a.gif"),
            "frames: expected float32 .* got torch.uint8",
        ),
        (lambda: plots.save_gif(torch.rand(2, 5, 5), "a.gif", milliseconds=80.0), "milliseconds: expected an int"),
    ],
)
def test_type_errors(call, message):
    with pytest.raises(TypeError, match=message):
        call()
