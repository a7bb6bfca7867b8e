"""Images in which NaN marks missing pixels: a pixel of weight 0 is not used."""

import math

import pytest
import torch

from latentcore import ops, reference
from latentcore.testing import assert_near

MODES = ["bilinear", "nearest"]
DTYPES = [torch.float32, torch.float64, torch.bfloat16]
SIDES = [1, 9, 70]
BAD = [math.nan, math.inf, -math.inf]


def twin(images, matrix, interpolation="bilinear", fill=0.0, dtype=None):
    return reference.warp(images, matrix, interpolation=interpolation, fill=fill, dtype=dtype or images.dtype)


def native(images, matrix, interpolation="bilinear", fill=0.0, dtype=None):
    return torch.ops.latentcore.warp(
        images, matrix, torch.tensor(fill, dtype=torch.float64), interpolation, dtype or images.dtype
    )


def with_holes(*shape, dtype=torch.float32):
    """Random images, a tenth of whose pixels, at least one, is missing."""
    images = torch.randn(shape).to(dtype)
    missing = torch.rand(shape) < 0.1
    missing[0, 0, 0, -1] = True
    return images.masked_fill(missing, math.nan), missing


def quarter_turn(quarters, side):
    centre = ((side - 1) / 2,) * 2
    return reference.rotation_sampling(torch.tensor([90.0 * quarters]), centre).unsqueeze(1)


def assert_same(result, expected):
    assert torch.equal(result.isnan(), expected.isnan())
    assert torch.equal(result.nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", SIDES)
def test_quarter_turns_move_pixels_that_are_not_finite(simd, dtype, interpolation, side):
    images = torch.randn(1, 2, side, side).to(dtype)
    for channel, bad in enumerate(BAD[:2]):
        images[0, channel, side // 2, side // 3] = bad
    for quarters in range(4):
        expected = torch.rot90(images, quarters, (-2, -1))
        for fill in (0.5, *BAD):
            assert_same(ops.rotate(images, 90.0 * quarters, interpolation=interpolation, fill=fill), expected)
        assert_same(twin(images, quarter_turn(quarters, side), interpolation, math.nan)[:, 0], expected)


@pytest.mark.parametrize("interpolation", MODES)
def test_bytes_with_a_fill_that_is_not_a_number(simd, interpolation):
    images = torch.randint(0, 256, (2, 1, 9, 9), dtype=torch.uint8)
    result = ops.rotate(images, 90.0, interpolation=interpolation, fill=math.nan, dtype=torch.float32)
    assert_near(result, torch.rot90(images, 1, (-2, -1)) / 255)


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("size", [(7, 5), (60, 150)])
def test_whole_pixels_to_the_side(simd, interpolation, size):
    images, _ = with_holes(2, 2, *size)
    result = ops.affine(images, translate=(2.0, -1.0), interpolation=interpolation, fill=math.nan)
    assert_same(result[..., :-1, 2:], images[..., 1:, :-2])
    assert result[..., -1, :].isnan().all()
    assert result[..., :2].isnan().all()


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(9, 9), (70, 50)])
def test_what_shows_a_missing_pixel_is_missing_and_nothing_else(simd, dtype, interpolation, size):
    images, missing = with_holes(2, 2, *size, dtype=dtype)
    angle = torch.tensor([[0.0, 33.3, 180.0], [45.0, 90.0, 271.0]]) if size[0] == size[1] else torch.full((2, 3), 33.3)
    options = {"interpolation": interpolation, "fill": 0.25}
    share = ops.rotate(missing.to(dtype), angle, interpolation=interpolation, fill=0.0)
    result = ops.rotate(images, angle, **options)
    assert torch.equal(result.isnan(), share > 0)
    whole = ops.rotate(images.nan_to_num(), angle, **options)
    assert torch.equal(result[share == 0], whole[share == 0])


def gradients(function, images, matrix, interpolation):
    """Of a loss of what is not missing, which ends in gradients of 0 for what is."""
    images, matrix = images.clone().requires_grad_(), matrix.clone().requires_grad_(interpolation == "bilinear")
    result = function(images, matrix, interpolation, fill=0.3)
    loss = (result * torch.arange(result.numel()).view_as(result))[~result.isnan()].sum()
    return torch.autograd.grad(loss, [images, *([matrix] if matrix.requires_grad else [])])


@pytest.mark.parametrize("interpolation", MODES)
def test_gradients_of_what_is_not_missing(simd, interpolation):
    images, _ = with_holes(2, 2, 9, 9, dtype=torch.float64)
    angles = torch.tensor([[0.0, 33.3, 90.0], [0.0, 180.0, 271.0]])
    matrix = reference.rotation_sampling(angles, (4.0, 4.0))
    # rounding is not to say on which side of a pixel a point lies: the other turns are about a place between pixels
    matrix[0, 1, :, 2] += 0.3
    matrix[1, 2, :, 2] += 0.4
    matrix[1, 0] = torch.eye(2, 3)
    matrix[1, 0, 0, 2] = 0.25  # between two columns, on a row
    found, expected = (gradients(function, images, matrix, interpolation) for function in (native, twin))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.isfinite().all()
        assert_near(ours, theirs, tolerance=1e-12)
    assert found[0].abs().sum() > 0


def test_the_map_of_an_image_without_missing_pixels_keeps_its_gradient(simd):
    """On pixels, too, where the slope is that to the next pixel, whose weight is 0."""
    images = torch.randn(1, 1, 9, 9, dtype=torch.float64)
    matrix = torch.tensor([[[[1.0, 0, 1], [0, 1.0, 0]]]], dtype=torch.float64)
    (found,) = torch.autograd.grad(native(images, matrix.requires_grad_()).sum(), matrix)
    # the image goes on with 0: one column to the right, by the step from column to column
    steps = torch.nn.functional.pad(images[0, 0], (0, 1)).diff()[:, 1:]
    assert found[0, 0, 0, 2].item() == pytest.approx(steps.sum().item(), rel=1e-12)


@pytest.mark.parametrize("interpolation", MODES)
def test_a_gradient_that_is_not_a_number_goes_to_what_was_used_alone(simd, interpolation):
    images = torch.randn(1, 1, 9, 9, requires_grad=True)
    result = ops.rotate(images, 90.0, interpolation=interpolation)
    grad = torch.ones_like(result)
    grad[0, 0, 3, 4] = math.nan
    result.backward(grad)
    assert images.grad.isnan().sum() == 1
