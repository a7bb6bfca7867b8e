"""Any shape, stride, dtype and value: the operators neither crash nor make NaN where float64 has none."""

import math

import torch
from hypothesis import given, strategies as st

from latentcore import ops, reference

FLOATING = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])
VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-30, 1e-7, 88.0, -104.0, 700.0, 1e4, -1e4, 1e18, 1e30, -1e30])
SIZES = st.integers(0, 40)


@st.composite
def tensors(draw, shape, dtype, values=VALUES):
    """A tensor of ordinary numbers with some extreme ones among them, contiguous, strided, or expanded."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    layout = draw(st.sampled_from(["contiguous", "transposed", "sliced", "expanded"]))
    if layout == "transposed":
        tensor = torch.randn(shape[::-1], generator=generator).permute(*range(len(shape) - 1, -1, -1))
    elif layout == "sliced":
        tensor = torch.randn((*shape[:-1], 2 * shape[-1] + 1), generator=generator)[..., 1::2]
    elif layout == "expanded":
        tensor = torch.randn((1, *shape[1:]), generator=generator).expand(shape)
    else:
        tensor = torch.randn(shape, generator=generator)
    tensor = tensor.to(dtype)
    if layout != "expanded" and tensor.numel():
        for value in draw(st.lists(values, max_size=3)):
            place = draw(st.integers(0, tensor.numel() - 1))
            index = torch.unravel_index(torch.tensor(place), tensor.shape)
            if abs(value) <= torch.finfo(dtype).max:
                tensor[index] = value
    return tensor


def assert_no_new_nan(actual, expected):
    """NaN only where the float64 twin has one, or an infinity, for which the narrow type has its own."""
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        fine = e.to(a.dtype).isfinite()
        assert not bool(a[fine].isnan().any())


@given(st.data(), SIZES, SIZES, FLOATING)
def test_reparameterize_kl(data, B, L, dtype):
    mu, logvar = (data.draw(tensors((B, L), dtype)).requires_grad_() for _ in range(2))
    wide = [t.detach().double().requires_grad_() for t in (mu, logvar)]
    seed = torch.tensor(data.draw(st.integers(-(2**63), 2**63 - 1)))
    z, kl = ops.reparameterize_kl(mu, logvar, seed=seed)
    wide_z, wide_kl = reference.reparameterize_kl(*wide, seed=seed, offset=0)
    assert_no_new_nan((z, kl), (wide_z, wide_kl))
    gradients = torch.autograd.grad((z.float().sum() + kl.sum()), (mu, logvar))
    assert_no_new_nan(gradients, torch.autograd.grad(wide_z.sum() + wide_kl.sum(), wide))


@given(st.data(), st.integers(1, 9), SIZES, SIZES, FLOATING, st.sampled_from(["bernoulli", "gaussian"]))
def test_vae_loss(data, B, P, L, dtype, likelihood):
    logits, mu, logvar = (data.draw(tensors((B, n), dtype)).requires_grad_() for n in (P, L, L))
    target = torch.rand(B, P).to(dtype)
    wide = [t.detach().double().requires_grad_() for t in (logits, mu, logvar)]
    loss = ops.vae_loss(logits, target, mu, logvar, likelihood=likelihood, reduction="none")
    expected = ops.vae_loss(wide[0], target.double(), *wide[1:], likelihood=likelihood, reduction="none")
    assert_no_new_nan(loss, expected)
    gradients = torch.autograd.grad(loss.loss.sum(), (logits, mu, logvar))
    assert_no_new_nan(gradients, torch.autograd.grad(expected.loss.sum(), wide))


@given(
    st.data(),
    SIZES,
    st.integers(1, 7),
    st.integers(1, 9),
    FLOATING,
    st.sampled_from(["full", "tied", "diag", "spherical"]),
)
def test_mixtures(data, N, K, D, dtype, covariance_type):
    x, means = data.draw(tensors((N, D), dtype)), data.draw(tensors((K, D), dtype))
    shape = reference.covariance_shape(K, D, covariance_type)
    triangular = covariance_type in ("full", "tied")
    factors = torch.eye(D).expand(shape) if triangular else torch.ones(shape)
    factors = (data.draw(st.sampled_from([1e-3, 1.0, 1e3])) * factors).to(dtype)
    weights = torch.rand(K).add(0.01).softmax(-1).to(dtype)
    arguments = (x, weights, means, factors)
    wide = [argument.double() for argument in arguments]
    assert_no_new_nan(ops.gmm_e_step(*arguments, covariance_type), reference.gmm_e_step(*wide, covariance_type))
    resp = ops.gmm_responsibilities(*arguments, covariance_type)
    assert_no_new_nan([resp], [reference.gmm_responsibilities(*wide, covariance_type)])
    assert bool((resp.sum(-1) <= 1 + 1e-5).all())
    statistics = ops.gmm_statistics(*arguments, covariance_type)
    # a sample that no component reaches in the narrow type is not counted there, whatever float64 makes of it
    assert not bool(statistics.n_k.isnan().any())


@given(
    st.data(),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.uint8]),
    st.sampled_from(["bilinear", "nearest"]),
)
def test_affine(data, shape, dtype, interpolation):
    numbers = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, 1e-300, 1e300, 0.0])
    matrix = data.draw(st.lists(numbers, min_size=6, max_size=6))
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    images = images if dtype == torch.uint8 else images.to(dtype) / 255
    matrices = torch.tensor(matrix, dtype=torch.float64).reshape(1, 2, 3).expand(shape[0], 2, 3)
    warped = ops.affine(images, matrix=matrices, interpolation=interpolation, fill=0.5 if dtype != torch.uint8 else 7.0)
    assert warped.shape == shape
    assert not bool(warped.double().isnan().any())
    assert bool((warped.double() <= (255 if dtype == torch.uint8 else 1)).all())


@given(st.data(), st.integers(0, 4), st.integers(1, 5))
def test_several_angles_equal_one_at_a_time(data, N, A):
    images = torch.rand(N, 1, 9, 11)
    angles = data.draw(tensors((N, A), torch.float32, st.sampled_from([0.0, 90.0, 1e4, -1e30]))) * 360
    together = ops.rotate(images, angles)
    apart = [ops.rotate(images, angles[:, a]) for a in range(A)]
    assert torch.equal(together, torch.stack(apart, 1))
