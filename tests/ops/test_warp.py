import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, strategies as st
from threads import assert_same_for_any_number_of_threads

from latentcore import ops, reference
from latentcore.testing import assert_near, assert_near_in_half

SHAPES = [(1, 1, 1, 1), (2, 1, 1, 7), (2, 3, 5, 3), (3, 1, 28, 28), (1, 2, 33, 200), (1, 1, 65, 36), (20, 1, 9, 8)]
HALF = [torch.float16, torch.bfloat16]


def maps(n, a=1, spread=0.5):
    """Random sampling matrices: a turn, a stretch and a shift."""
    matrix = torch.eye(2, 3, dtype=torch.float64).repeat(n, a, 1, 1)
    return matrix + spread * torch.randn(n, a, 2, 3, dtype=torch.float64) * torch.tensor([[1, 1, 4], [1, 1, 4]])


def native(images, matrix, interpolation="bilinear", fill=0.0, dtype=None):
    return torch.ops.latentcore.warp(
        images, matrix, torch.tensor(fill, dtype=torch.float64), interpolation, dtype or images.dtype
    )


def twin(images, matrix, interpolation="bilinear", fill=0.0, dtype=None):
    return reference.warp(images, matrix, interpolation=interpolation, fill=fill, dtype=dtype or images.dtype)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_twin_in_float64(simd, dtype, interpolation):
    for shape in SHAPES:
        images, matrix = torch.randn(shape).to(dtype), maps(shape[0], 3)
        expected = twin(images.double(), matrix, interpolation, fill=0.7)
        assert_near(native(images, matrix, interpolation, fill=0.7), expected)


def test_wide_images_keep_the_digits_of_float(simd):
    images = torch.randn(1, 2, 40, 3000)
    for zoom in (-0.97, 1.03, 3.7, 31.3, 101.3):  # the last is beyond the smallest tile
        matrix = [[zoom, 0.0137, 1500 - 1500 * zoom], [0.0013, 0.9, 0.2]]
        matrix = torch.tensor(matrix, dtype=torch.float64)[None, None]
        assert_near(native(images, matrix), twin(images.double(), matrix))


def test_maps_of_every_kind_side_by_side(simd):
    images, matrix = torch.randn(2, 3, 20, 17), maps(2, 4)
    matrix[:, 0] *= 40  # much smaller: pixels far apart
    matrix[:, 1, :, :2] *= 1e-3
    matrix[0, 2, 0, 0] = math.nan
    matrix[1, 2, 1, 2] = math.inf
    assert_near(native(images, matrix, fill=0.3), twin(images.double(), matrix, fill=0.3))


@pytest.mark.parametrize("dtype", HALF)
def test_half_types_err_at_most_twice_as_much_as_torch(simd, dtype):
    images = torch.randn(3, 2, 20, 20).to(dtype)
    theta = torch.tensor([[0.8, 0.3, 0.1], [-0.2, 0.9, 0.05]]).repeat(3, 1, 1)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=True)
    in_half = torch.nn.functional.grid_sample(images, grid.to(dtype), align_corners=True)
    # the same map in pixels: [-1, 1] spans 19 pixels about 9.5
    matrix = theta.double().clone()
    matrix[:, :, 2] = 9.5 + 9.5 * (theta[:, :, 2] - theta[:, :, 0] - theta[:, :, 1]).double()
    expected = twin(images.double(), matrix[:, None])[:, 0]
    assert_near_in_half(native(images, matrix[:, None])[:, 0], in_half, expected)


def test_twin_equals_grid_sample():
    images = torch.randn(4, 2, 11, 11, dtype=torch.float64)
    theta = torch.randn(4, 2, 3, dtype=torch.float64)
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=True)
    expected = torch.nn.functional.grid_sample(images, grid, align_corners=True)
    matrix = theta.clone()
    matrix[:, :, 2] = 5 + 5 * (theta[:, :, 2] - theta[:, :, 0] - theta[:, :, 1])
    assert_near(twin(images, matrix[:, None])[:, 0], expected)


@pytest.mark.parametrize("angle", [17.0, -123.0, 200.5])
def test_rotate_equals_scipy(angle):
    image = torch.rand(12, 15, dtype=torch.float64)
    y, x = np.mgrid[0:12, 0:15]
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # counter-clockwise as displayed, y down; half a pixel of 0.3 blends in at the border
    points = [s * (x - 7) + c * (y - 5.5) + 5.5, c * (x - 7) - s * (y - 5.5) + 7]
    padded = np.pad(image.numpy(), 2, constant_values=0.3)
    shifted = [p + 2 for p in points]
    expected = scipy.ndimage.map_coordinates(padded, shifted, order=1, mode="constant", cval=0.3)
    assert_near(ops.rotate(image[None], angle, fill=0.3)[0], torch.from_numpy(expected))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8])
def test_quarter_turns_are_exact(simd, dtype):
    for size in (1, 2, 27, 28, 70):  # the last is larger than a tile
        images = (torch.rand(2, 3, size, size) * 255).to(dtype)
        for turns in (-5, -2, -1, 0, 1, 2, 3, 4, 9):
            turned = torch.rot90(images, turns, (-2, -1))
            assert torch.equal(ops.rotate(images, 90.0 * turns), turned), f"{turns} quarter turns of {size} pixels"


def test_several_angles_of_each_image_equal_one_at_a_time():
    images, angles = torch.rand(5, 2, 13, 14), torch.rand(5, 4) * 360
    several = ops.rotate(images, angles)
    assert several.shape == (5, 4, 2, 13, 14)
    for a in range(4):
        assert torch.equal(several[:, a], ops.rotate(images, angles[:, a]))


@pytest.mark.alone
@pytest.mark.parametrize("shape", [(2, 1, 5, 6), (1, 2, 300, 500), (40, 1, 28, 28), (17, 3, 64, 64)])
def test_results_do_not_depend_on_threads(shape):
    images, angles = torch.rand(shape), torch.rand(shape[0], 2) * 360

    def everything():
        leaf, angle = images.clone().requires_grad_(), angles.clone().requires_grad_()
        out = ops.rotate(leaf, angle)
        out.square().sum().backward()
        return out.detach(), leaf.grad, angle.grad

    assert_same_for_any_number_of_threads(everything)


def test_uint8_is_rounded_or_divided():
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    exact = ops.rotate(images.double(), 33.0)
    assert (ops.rotate(images, 33.0).double() - exact).abs().max() <= 0.5 + 1e-4
    assert_near(ops.rotate(images, 33.0, dtype=torch.float32), exact / 255)
    white = ops.rotate(images, 45.0, fill=255)
    assert white[0, 0, 0, 0] == 255
    assert ops.rotate(images, 45.0, fill=1.0, dtype=torch.float32)[0, 0, 0, 0] == 1


@pytest.mark.parametrize("scale", [[[1.2, 1.2], [0.7, 0.7], [1.0, 1.0]], [[1.2, -0.8], [-0.7, 1.1], [1.0, -1.0]]])
def test_affine_is_scale_then_shear_then_rotation_then_translation(scale):
    images = torch.rand(3, 1, 21, 19, dtype=torch.float64)
    angle, scale = torch.tensor([10.0, -50.0, 170.0]), torch.tensor(scale)
    translate, shear = torch.tensor([[1.0, 2.0], [-3.5, 0.5], [0.0, 0.0]]), torch.tensor([[5.0, 0], [0, -8], [3, 4]])
    matrices = []
    for a, k, t, (sx, sy) in zip(angle.double(), scale.double(), translate.double(), shear.double(), strict=True):
        c, s = torch.cos(a.deg2rad()), torch.sin(a.deg2rad())
        linear = torch.stack([torch.stack([c, s]), torch.stack([-s, c])])
        tangents = [[1, math.tan(math.radians(sx))], [math.tan(math.radians(sy)), 1]]
        linear = linear @ torch.tensor(tangents, dtype=torch.float64) @ torch.diag(k)
        center = torch.tensor([9.0, 10.0]).double()
        matrices.append(torch.cat([linear, (center + t - linear @ center)[:, None]], dim=1))
    expected = ops.affine(images, matrix=torch.stack(matrices))
    assert_near(ops.affine(images, angle=angle, translate=translate, scale=scale, shear=shear), expected)
    if torch.equal(scale[:, 0], scale[:, 1]):
        assert_near(ops.affine(images, angle=angle, translate=translate, scale=scale[:, 0], shear=shear), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_a_negative_scale_mirrors_exactly(simd, dtype):
    images = torch.randint(256, (2, 3, 6, 9)).to(dtype)
    assert torch.equal(ops.affine(images, scale=(-1.0, 1.0)), images.flip(3))
    assert torch.equal(ops.affine(images, scale=(1.0, -1.0)), images.flip(2))
    some = ops.affine(images, scale=torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    assert torch.equal(some, torch.stack([images[0].flip(1, 2), images[1]]))
    around = ops.affine(images, scale=(-1.0, 1.0), center=(3.0, 0.0))
    assert torch.equal(around[..., :7], images[..., :7].flip(3))
    assert around[..., 7:].count_nonzero() == 0


def test_affine_agrees_with_rotate_and_moves_right_and_down():
    images = torch.rand(2, 1, 9, 9)
    assert torch.equal(ops.affine(images, angle=30.0), ops.rotate(images, 30.0))
    moved = ops.affine(images, translate=(2, 1))
    assert torch.equal(moved[..., 1:, 2:], images[..., :-1, :-2])
    assert moved[..., 0, :].abs().sum() == 0


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_gradients_of_images_and_matrix(simd, interpolation):
    images = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    matrix = maps(2, 2, spread=0.2).requires_grad_(interpolation == "bilinear")
    assert torch.autograd.gradcheck(lambda i, m: 3 * native(i, m, interpolation, 0.4), (images, matrix))


def test_gradients_where_the_map_has_no_inverse(simd):
    images, matrix = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True), torch.zeros(1, 4, 2, 3).double()
    matrix[0, 0, :, 2] = torch.tensor([1.3, 2.6])
    matrix[0, 1, 0] = torch.tensor([1.0, 0.5, 0.1])
    matrix[0, 2, 1, 1] = math.nan
    matrix[0, 3] = torch.tensor([[0.02, 0, 1], [0, 30, -40]])
    assert torch.autograd.gradcheck(lambda i: native(i, matrix), (images,))


def test_gradients_of_every_number_of_the_map():
    images = torch.randn(2, 1, 6, 5, dtype=torch.float64)
    numbers = [
        torch.tensor(v, dtype=torch.float64, requires_grad=True)
        for v in ([20.3, 81.0], [[0.31, -0.77], [0.11, 0.2]], [[1.13, -0.9], [0.87, 1.2]], [[3.1, 0.7], [-4.0, 2.0]])
    ]
    function = lambda a, t, k, s: 2 * ops.affine(images, angle=a, translate=t, scale=k, shear=s)  # noqa: E731
    assert torch.autograd.gradcheck(function, numbers)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_gradients_in_lower_precision(simd, dtype):
    images, grad = torch.randn(3, 2, 12, 12).to(dtype), torch.randn(3, 2, 12, 12).to(dtype)
    leaf, angle = images.clone().requires_grad_(), torch.tensor([10.0, 50.0, 260.0], requires_grad=True)
    ops.rotate(leaf, angle).backward(grad)
    wide, wide_angle = images.double().requires_grad_(), angle.detach().double().requires_grad_()
    ops.rotate(wide, wide_angle).backward(grad.double())
    tolerance = 1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    assert_near(leaf.grad, wide.grad, tolerance=tolerance)
    assert_near(angle.grad, wide_angle.grad, tolerance=1e-5)


def test_the_angle_of_uint8_images_has_a_gradient():
    images = torch.randint(0, 256, (3, 2, 14, 14), dtype=torch.uint8)
    angle = torch.tensor([10.3, 77.0, 201.0], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(ops.rotate(images, angle, dtype=torch.float32).square().sum(), angle)
    (expected,) = torch.autograd.grad(ops.rotate(images.double() / 255, angle).square().sum(), angle)
    assert_near(grad, expected, tolerance=1e-5)


def test_opcheck():
    fill = torch.tensor(0.5, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        images, matrix = torch.randn(2, 1, 5, 6, dtype=dtype, requires_grad=True), maps(2, 2).requires_grad_()
        torch.library.opcheck(torch.ops.latentcore.warp.default, (images, matrix, fill, "bilinear", dtype))
    bytes_ = torch.randint(0, 255, (2, 1, 5, 6), dtype=torch.uint8)
    torch.library.opcheck(torch.ops.latentcore.warp.default, (bytes_, maps(2), fill, "nearest", torch.uint8))


def test_compiled_equals_eager():
    images, angle = torch.rand(3, 1, 10, 10), torch.rand(3, requires_grad=True)

    def function(images, angle):
        return ops.affine(ops.rotate(images, 100 * angle), scale=1.5, translate=(1.0, 0.5))

    expected, result = function(images, angle), torch.compile(function, fullgraph=True)(images, angle)
    torch.testing.assert_close(result, expected)
    grads = [torch.autograd.grad(r.square().sum(), angle)[0] for r in (expected, result)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_angle_that_is_not_finite_shows_fill(simd, bad):
    images = torch.rand(2, 1, 70, 70)
    result = ops.rotate(images, torch.tensor([bad, 0.0]), fill=0.25)
    assert (result[0] == 0.25).all()
    assert torch.equal(result[1], images[1])


def test_non_contiguous_empty_and_single_images():
    images = torch.rand(6, 7, 2, 3).permute(3, 2, 0, 1)
    assert torch.equal(ops.rotate(images, 20.0), ops.rotate(images.contiguous(), 20.0))
    assert torch.equal(ops.rotate(images[0], 20.0), ops.rotate(images, 20.0)[0])
    assert ops.rotate(torch.rand(0, 1, 4, 4), 20.0).shape == (0, 1, 4, 4)
    assert ops.rotate(images, torch.zeros(3, 0)).shape == (3, 0, 2, 6, 7)


@given(
    st.integers(1, 9),
    st.integers(1, 90),
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, 1e-300, 1e300]), min_size=6, max_size=6),
)
def test_any_matrix_gives_values_between_the_smallest_and_the_largest(height, width, entries):
    images = torch.rand(1, 1, height, width)
    matrix = torch.tensor(entries, dtype=torch.float64).view(1, 1, 2, 3)
    result = native(images, matrix)
    assert ((result >= -1e-6) & (result <= images.max() + 1e-6)).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ops.rotate(x.long(), 1.0), TypeError, "images: expected uint8 or float32"),
        (lambda x: ops.rotate(x[0, 0], 1.0), ValueError, r"images: expected shape \(N, C, H, W\)"),
        (lambda x: ops.rotate(x[..., :0], 1.0), ValueError, "images: expected at least one pixel"),
        (
            lambda x: ops.affine(x, matrix=torch.eye(2, 3), translate=[x, 0]),
            ValueError,
            "translate: expected no value beside",
        ),
        (lambda x: ops.rotate(x, torch.zeros(3)), ValueError, r"angle: expected shape \(2,\), got \(3,\)"),
        (lambda x: ops.rotate(x, "90"), TypeError, "angle: expected a number or a torch.Tensor, got str"),
        (lambda x: ops.rotate(x, 1.0, interpolation="cubic"), ValueError, "interpolation: expected one of"),
        (lambda x: ops.rotate(x, 1.0, dtype=torch.float64), TypeError, "dtype: expected the images' dtype"),
        (lambda x: ops.rotate(x, 1.0, center=(1, 2, 3)), ValueError, "center: expected a pair"),
        (lambda x: ops.rotate(x, 1.0, center=3.0), TypeError, "center: expected a pair"),
        (lambda x: ops.rotate(x, 1.0, fill=None), TypeError, "fill: expected a number, got NoneType"),
        (lambda x: ops.affine(x, shear=5), TypeError, "shear: expected a pair"),
        (lambda x: ops.affine(x, matrix=torch.eye(2)), ValueError, "matrix: expected shape"),
        (lambda x: ops.affine(x, matrix=torch.eye(2, 3), angle=3.0), ValueError, "angle: expected no value beside"),
        (lambda x: ops.affine(x, translate=(1,)), ValueError, "translate: expected a pair"),
        (lambda x: ops.affine(x, scale=torch.ones(3)), ValueError, r"scale: expected shape \(2,\)"),
        (lambda x: ops.affine(x, scale=torch.ones(2, 3)), ValueError, r"scale: expected shape \(2, 2\)"),
        (lambda x: ops.affine(x, scale=(1, 2, 3)), ValueError, "scale: expected a pair"),
        (lambda x: ops.affine(x, scale="2"), TypeError, "scale: expected a pair"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.rand(2, 1, 4, 4))
