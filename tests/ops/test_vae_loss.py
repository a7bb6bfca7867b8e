import itertools

import pytest
import torch
from hypothesis import given, strategies as st
from threads import assert_same_for_any_number_of_threads

from latentcore import ops, reference
from latentcore.testing import assert_near, assert_near_in_half

SHAPES = [(1, 1), (3, 7), (5, 1, 9, 11), (2, 33, 65), (2, 0), (4,)]
LIKELIHOODS = ["bernoulli", "gaussian"]
TERMS = ("loss", "reconstruction", "kl")


def inputs(shape, dtype=torch.float32, latents=3):
    logits = (2 * torch.randn(shape)).to(dtype).requires_grad_()
    mu, logvar = (torch.randn(shape[0], latents).to(dtype).requires_grad_() for _ in range(2))
    return logits, torch.rand(shape).to(dtype), mu, logvar


def as_type(tensors, dtype):
    return [t.detach().to(dtype).requires_grad_(t.requires_grad) for t in tensors]


def results(function, tensors, **options):
    """The terms and the gradients of a weighted sum of them."""
    output = function(*tensors, **options)
    total = sum((i + 2) * (term * torch.arange(1, term.numel() + 1)).sum() for i, term in enumerate(output))
    return [*output, *torch.autograd.grad(total, [tensors[0], *tensors[2:]])]


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_twin_in_float64(simd, dtype, likelihood):
    for shape, reduction in itertools.product(SHAPES, ["mean", "none"]):
        tensors = inputs(shape, dtype)
        options = {"beta": 0.7, "likelihood": likelihood, "scale": 0.6, "reduction": reduction}
        expected = of_the_twin(tensors, options)
        for actual, wanted in zip(results(ops.vae_loss, tensors, **options), expected, strict=True):
            assert_near(actual, wanted)


def of_the_twin(tensors, options):
    if tensors[0].dim() > 1:
        return results(reference.vae_loss, as_type(tensors, torch.float64), **options)
    # the twin takes rows
    wide = as_type([t if t.dim() == 2 else t.detach()[:, None] for t in tensors], torch.float64)
    wide[0].requires_grad_()
    expected = results(reference.vae_loss, wide, **options)
    expected[3] = expected[3][:, 0]
    return expected


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_err_at_most_twice_as_much_as_torch(simd, dtype, likelihood):
    tensors = inputs((6, 50), dtype)
    options = {"likelihood": likelihood, "reduction": "none"}
    actual = results(ops.vae_loss, tensors, **options)
    in_half = results(reference.vae_loss, as_type(tensors, dtype), **options)
    expected = results(reference.vae_loss, as_type(tensors, torch.float64), **options)
    assert actual[0].dtype == torch.float32
    for one, half, wanted in zip(actual, in_half, expected, strict=True):
        if one.dtype == torch.float32:
            assert_near(one, wanted)
        else:
            assert_near_in_half(one, half, wanted)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_gradcheck(likelihood, reduction):
    logits, target, mu, logvar = inputs((3, 5), torch.float64)
    beta = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)

    def weighted(logits, mu, logvar, beta):
        output = ops.vae_loss(
            logits, target, mu, logvar, beta=beta, likelihood=likelihood, scale=0.5, reduction=reduction
        )
        return tuple(3.5 * term for term in output)

    assert torch.autograd.gradcheck(weighted, (logits, mu, logvar, beta))


@pytest.mark.parametrize(
    ("likelihood", "with_gradient", "bytes_"),
    [  # every pair
        ("bernoulli", False, False),
        ("bernoulli", True, True),
        ("gaussian", False, True),
        ("gaussian", True, False),
    ],
)
def test_opcheck(likelihood, with_gradient, bytes_):
    logits, target, mu, logvar = inputs((3, 2, 5))
    target = (255 * target).to(torch.uint8) if bytes_ else target
    logits = logits.requires_grad_(with_gradient)
    for mean in (False, True):
        arguments = (logits, target, mu, logvar, *[None] * 5, 2.0, likelihood, 0.5, mean, with_gradient)
        torch.library.opcheck(torch.ops.latentcore.vae_loss, arguments)


def test_compiled_equals_eager():
    tensors = inputs((4, 30))

    def both(*tensors):
        return [term for likelihood in LIKELIHOODS for term in ops.vae_loss(*tensors, likelihood=likelihood)]

    eager, compiled = results(both, tensors), results(torch.compile(both, fullgraph=True), tensors)
    for one, two in zip(compiled, eager, strict=True):
        assert_near(one, two)


@pytest.mark.alone
def test_threads_do_not_change_a_bit():
    for shape in ((3, 7), (67, 3001)):  # the first on the calling thread
        tensors = inputs(shape)
        assert_same_for_any_number_of_threads(lambda t=tensors: results(ops.vae_loss, t))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_bytes_are_divided_by_255(simd, likelihood):
    logits, _, mu, logvar = inputs((4, 77))
    target = torch.randint(0, 256, (4, 77), dtype=torch.uint8)
    actual = results(ops.vae_loss, (logits, target, mu, logvar), likelihood=likelihood)
    wide = as_type((logits, target.double() / 255, mu, logvar), torch.float64)
    for one, wanted in zip(actual, results(reference.vae_loss, wide, likelihood=likelihood), strict=True):
        assert_near(one, wanted)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_huge_logits_stay_finite(simd, likelihood):
    logits = torch.tensor([[1e4, -1e4, 1e4, -1e4]], requires_grad=True)
    target = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    zeros = torch.zeros(1, 1)
    reconstruction = ops.vae_loss(logits, target, zeros, zeros, likelihood=likelihood).reconstruction
    reconstruction.backward()
    assert reconstruction.item() == (2e4 if likelihood == "bernoulli" else 1.0)
    assert logits.grad.tolist() == [[1, -1, 0, 0] if likelihood == "bernoulli" else [0, 0, 0, 0]]


def test_extreme_logvar_behaves_as_in_torch(simd):
    for logvar in (-200.0, 80.0, 89.0, 1e4, float("inf"), float("-inf"), float("nan")):
        value, empty = torch.full((1, 1), logvar), torch.zeros(1, 0)
        actual = ops.vae_loss(empty, empty, torch.zeros(1, 1), value).kl
        expected = reference.vae_loss(empty, empty, torch.zeros(1, 1), value).kl
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=0, equal_nan=True)


def test_error_of_a_sum_does_not_grow_with_its_length(simd):
    logits, zeros = torch.full((1, 4_000_001), 0.1), torch.zeros(1, 1)
    actual = ops.vae_loss(logits, torch.zeros_like(logits), zeros, zeros).reconstruction
    wide = logits.double()
    expected = reference.vae_loss(wide, torch.zeros_like(wide), zeros.double(), zeros.double()).reconstruction
    # equal terms share one rounding error; a float32 sum without blocks is off by percents
    assert_near(actual, expected, tolerance=5e-6)


def test_non_contiguous_input():
    logits, target, mu, logvar = (t.detach().t() for t in inputs((6, 8), latents=8))
    target, mu, logvar = target[:, ::2], mu[:8], logvar[:8]
    actual = ops.vae_loss(logits[:, ::2], target, mu, logvar).loss
    copies = [t.contiguous() for t in (logits[:, ::2], target, mu, logvar)]
    assert torch.equal(actual, ops.vae_loss(*copies).loss)


def test_an_empty_batch_has_no_mean():
    empty = torch.zeros(0, 3)
    assert ops.vae_loss(empty, empty, empty, empty, reduction="none").loss.shape == (0,)
    with pytest.raises(ValueError, match="logits: expected a batch with at least one sample"):
        ops.vae_loss(empty, empty, empty, empty)


@pytest.mark.parametrize("beta", [torch.tensor([0.5], dtype=torch.float64), torch.tensor([[0.5]]), torch.tensor(0.5)])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_beta_as_a_tensor_keeps_shape_and_dtype(beta, reduction):
    tensors = inputs((3, 4))
    expected = ops.vae_loss(*tensors, beta=0.5, reduction=reduction).loss
    assert torch.equal(ops.vae_loss(*tensors, beta=beta, reduction=reduction).loss, expected)
    assert ops.vae_loss(*tensors, beta=beta, reduction=reduction).loss.dtype == torch.float32


@given(st.integers(1, 9), st.integers(0, 70), st.integers(0, 9), st.sampled_from(LIKELIHOODS))
def test_any_size(batch, pixels, latents, likelihood):
    tensors = [t.detach() for t in inputs((batch, pixels), latents=latents)]
    actual = ops.vae_loss(*tensors, likelihood=likelihood)
    expected = reference.vae_loss(*as_type(tensors, torch.float64), likelihood=likelihood)
    for term in TERMS:
        # a term may be near 0 where it is a difference of numbers near 1
        ours, theirs = (1 + getattr(terms, term).double() for terms in (actual, expected))
        assert_near(ours, theirs, tolerance=1e-5)


@pytest.mark.parametrize(
    ("error", "name", "change"),
    [
        (TypeError, "logits", {"logits": [1.0]}),
        (ValueError, "logits", {"logits": torch.tensor(1.0)}),
        (ValueError, "target", {"target": torch.zeros(2, 4)}),
        (TypeError, "target", {"target": torch.zeros(2, 3, dtype=torch.int64)}),
        (TypeError, "mu", {"mu": torch.zeros(2, 2, dtype=torch.float64)}),
        (ValueError, "mu", {"mu": torch.zeros(3, 2)}),
        (ValueError, "logvar", {"logvar": torch.zeros(2, 3)}),
        (ValueError, "likelihood", {"likelihood": "poisson"}),
        (ValueError, "reduction", {"reduction": "sum"}),
        (ValueError, "beta", {"beta": torch.ones(2)}),
        (TypeError, "beta", {"beta": "half"}),
        (TypeError, "beta", {"beta": torch.tensor(1j)}),
        (ValueError, "beta", {"beta": torch.zeros((), device="meta")}),
        (TypeError, "scale", {"scale": torch.ones(2)}),
        (ValueError, "scale", {"scale": 0.0}),
        (ValueError, "scale", {"scale": float("nan")}),
    ],
)
def test_errors_name_the_argument(error, name, change):
    good = {
        "logits": torch.zeros(2, 3),
        "target": torch.zeros(2, 3),
        "mu": torch.zeros(2, 2),
        "logvar": torch.zeros(2, 2),
    }
    with pytest.raises(error, match=f"^{name}: expected"):
        ops.vae_loss(**{**good, **change})


def test_logits_of_one_dimension_are_a_pixel_per_sample():
    logits, target, mu = torch.randn(5), torch.rand(5), torch.randn(5, 2)
    actual = ops.vae_loss(logits, target, mu, mu, reduction="none")
    for expected in (
        reference.vae_loss(logits, target, mu, mu, reduction="none"),
        ops.vae_loss(logits[:, None], target[:, None], mu, mu, reduction="none"),
    ):
        assert_near(actual.loss, expected.loss)
