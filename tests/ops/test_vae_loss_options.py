"""vae_loss with a prior of its own, pixels that are missing, weights of samples and of positive pixels."""

import itertools

import pytest
import torch
from hypothesis import given, strategies as st
from vae_options import NAN, OPTIONS, SETS, SIZES, B, L, as_double, doubled, inputs, options_of, results, ways

from depth import few
from latentcore import ops, reference
from latentcore.testing import assert_near, assert_near_in_half

named = pytest.mark.parametrize("names", SETS, ids="+".join)
shortly = pytest.mark.parametrize("names", few(SETS), ids="+".join)


@named
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_twin_in_float64(simd, dtype, names):
    for shape, way in itertools.product(SIZES, ways(names)):
        tensors, options = inputs(shape, dtype), options_of(names, shape, dtype)
        expected = results(reference.vae_loss, as_double(tensors), doubled(options), **way)
        for actual, wanted in zip(results(ops.vae_loss, tensors, options, **way), expected, strict=True):
            assert_near(actual, wanted)


@named
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_err_at_most_twice_as_much_as_torch(simd, dtype, names):
    for way in ways(names):
        tensors, options = inputs((50,), dtype), options_of(names, (50,), dtype)
        actual = results(ops.vae_loss, tensors, options, **way)
        in_half = results(reference.vae_loss, tensors, options, **way)
        expected = results(reference.vae_loss, as_double(tensors), doubled(options), **way)
        for one, half, wanted in zip(actual, in_half, expected, strict=True):
            if one.dtype == torch.float32:
                assert_near(one, wanted)
            else:
                assert_near_in_half(one, half, wanted)


def formula(logits, target, mu, logvar, options):
    """What the documentation says, pixel by pixel with torch's own losses and distributions."""
    terms = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, target, reduction="none", pos_weight=options.get("pos_weight")
    )
    reconstruction = (terms * options.get("mask", torch.tensor(1.0))).flatten(1).sum(1)
    zeros = torch.zeros_like(mu)
    prior = [options.get(name, zeros) for name in ("prior_mu", "prior_logvar")]
    posterior, prior = (torch.distributions.Normal(m, (0.5 * v).exp()) for m, v in ((mu, logvar), prior))
    kl = torch.distributions.kl_divergence(posterior, prior).sum(1)
    weight = options.get("sample_weight", torch.ones(B, dtype=mu.dtype))
    return [(weight * (reconstruction + 0.5 * kl)).sum() / weight.sum(), weight * reconstruction, weight * kl]


@named
def test_equals_the_formula_in_torchs_own_functions(backend, names):
    tensors, options = as_double(inputs((2, 9))), doubled(options_of(names, (2, 9)))
    loss, reconstruction, kl = formula(*tensors, options)
    assert_near(ops.vae_loss(*tensors, beta=0.5, **options).loss, loss)
    rows = ops.vae_loss(*tensors, beta=0.5, reduction="none", **options)
    assert_near(rows.reconstruction, reconstruction)
    assert_near(rows.kl, kl)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_missing_pixels_show_nowhere(simd, dtype, likelihood):
    """They are NaN in the target, and what the decoder says of them may be anything."""
    logits, target, mu, logvar = inputs((300,), dtype)
    mask = torch.rand(B, 300) < 0.6
    for nonsense in (NAN, float("inf"), 7.0):
        holes = [t.masked_fill(~mask, nonsense) for t in (logits, target)]
        whole = results(ops.vae_loss, (logits, target, mu, logvar), {"mask": mask}, likelihood=likelihood)
        found = results(ops.vae_loss, (*holes, mu, logvar), {"mask": mask}, likelihood=likelihood)
        twin = results(reference.vae_loss, (*holes, mu, logvar), {"mask": mask}, likelihood=likelihood)
        assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))
        assert all(t.isfinite().all() for t in (*found, *twin))
        assert (found[3][~mask] == 0).all()


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_samples_of_weight_0_show_nowhere(simd, dtype, reduction):
    tensors, weight = inputs((300,), dtype), torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0])
    prior = options_of(("prior",), (300,), dtype)
    broken = [t.clone() for t in (*tensors, *prior.values())]
    for t in broken:
        t[[1, 3]] = NAN
    broken_prior = {"prior_mu": broken[4], "prior_logvar": broken[5]}
    options = {"sample_weight": weight, "reduction": reduction}
    whole = results(ops.vae_loss, tensors, prior, **options)
    for function in (ops.vae_loss, reference.vae_loss):
        found = results(function, broken[:4], broken_prior, **options)
        assert all(t.isfinite().all() for t in found)
        if function is ops.vae_loss:
            assert all(torch.equal(a, b) for a, b in zip(found, whole, strict=True))


def test_whole_weights_are_repetitions(backend):
    tensors = inputs((30,), torch.float64)
    counts = torch.tensor([2, 0, 1, 3, 1])
    repeated = [t.repeat_interleave(counts, 0) for t in tensors]
    for term, wanted in zip(ops.vae_loss(*tensors, sample_weight=counts), ops.vae_loss(*repeated), strict=True):
        assert_near(term, wanted)


@pytest.mark.parametrize("unit", [1e-60, 1e-300, 1e39, 1.7e308])
def test_a_weighted_mean_is_the_same_in_any_unit(unit):
    tensors, weight = inputs((30,)), torch.rand(B, dtype=torch.float64)
    expected = ops.vae_loss(*tensors, sample_weight=weight)
    assert_near(ops.vae_loss(*tensors, sample_weight=unit * weight).loss, expected.loss)


def test_shapes_broadcast():
    tensors = inputs((2, 9))
    row, column = torch.rand(9) < 0.5, torch.rand(B, 1, 1) < 0.5
    prior = {"prior_mu": torch.randn(L), "prior_logvar": torch.randn(1, L)}
    wide = {name: value.expand(B, L).contiguous() for name, value in prior.items()}
    for mask in (row, column):
        options = {"mask": mask, "pos_weight": torch.rand(2, 1)}
        full = {"mask": mask.expand(B, 2, 9).contiguous(), "pos_weight": options["pos_weight"].expand(2, 9)}
        for one, two in zip(
            ops.vae_loss(*tensors, **options, **prior), ops.vae_loss(*tensors, **full, **wide), strict=True
        ):
            assert torch.equal(one, two)
    number, tensor = (ops.vae_loss(*tensors, pos_weight=w).loss for w in (3, torch.full((2, 9), 3.0)))
    assert torch.equal(number, tensor)


def test_a_prior_that_is_broadcast_has_gradients_of_its_own_shape():
    tensors, prior_mu = inputs((4,)), torch.zeros(L, requires_grad=True)
    ops.vae_loss(*tensors, prior_mu=prior_mu).loss.backward()
    assert_near(prior_mu.grad, -tensors[2].mean(0))


@shortly
@pytest.mark.parametrize("with_gradient", [False, True])
def test_opcheck(names, with_gradient):
    logits, target, mu, logvar = inputs((2, 5))
    options = options_of(names, (2, 5))
    keys = ("prior_mu", "prior_logvar", "mask", "sample_weight", "pos_weight")
    if "prior_mu" in options or "prior_logvar" in options:
        options = {"prior_mu": torch.zeros(B, L), "prior_logvar": torch.zeros(B, L), **options}
    optional = [options.get(key) for key in keys]
    differentiable = [t.requires_grad_() for t in (mu, logvar, *optional[:2]) if t is not None][:2]
    logits = logits.requires_grad_(with_gradient)
    for mean, likelihood in itertools.product((False, True), ("bernoulli", "gaussian")):
        if likelihood == "gaussian" and "pos_weight" in names:
            continue
        arguments = (logits, target, *differentiable, *optional, 2.0, likelihood, 0.5, mean, with_gradient)
        torch.library.opcheck(torch.ops.latentcore.vae_loss, arguments)


@shortly
def test_gradcheck_of_both_orders(names):
    target = torch.rand(3, 4, dtype=torch.float64)
    options = {k: v[:3] if v.shape[0] == B else v for k, v in doubled(options_of(names, (4,))).items()}
    prior = [options.pop(k).requires_grad_() for k in ("prior_mu", "prior_logvar") if k in options]
    leaves = [torch.randn(3, n, dtype=torch.float64, requires_grad=True) for n in (4, L, L)]
    keys = [k for k in ("prior_mu", "prior_logvar") if k in options_of(names, (4,))]

    def terms(logits, mu, logvar, *of_prior):
        given = dict(zip(keys, of_prior, strict=True))
        return tuple(ops.vae_loss(logits, target, mu, logvar, **given, **options, reduction="none"))[1:]

    assert torch.autograd.gradcheck(terms, (*leaves, *prior))
    assert torch.autograd.gradgradcheck(terms, (*leaves, *prior))


@shortly
def test_compiled_equals_eager(names):
    torch.compiler.reset()  # dynamo counts how often one function is compiled
    tensors, options = inputs((30,)), options_of(names, (30,))
    eager = results(ops.vae_loss, tensors, options)
    compiled = results(torch.compile(ops.vae_loss, fullgraph=True), tensors, options)
    for one, two in zip(compiled, eager, strict=True):
        assert_near(one, two)


def test_weights_with_gradients_have_them_by_plain_torch():
    logits, target, mu, logvar = as_double(inputs((6,), rows=3))
    weights = torch.rand(3, dtype=torch.float64, requires_grad=True), torch.rand(6, dtype=torch.float64)
    weights[1].requires_grad_()

    def loss(sample_weight, pos_weight):
        return ops.vae_loss(logits, target, mu, logvar, sample_weight=sample_weight, pos_weight=pos_weight).loss

    assert torch.autograd.gradcheck(loss, weights)
    assert_near(loss(*weights).detach(), loss(*(w.detach() for w in weights)))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_weight_of_0_has_a_gradient_where_it_is_asked_for(reduction):
    tensors, weight = as_double(inputs((6,))), torch.tensor([0.0, 1.0, 2.0, 0.0, 1.0], dtype=torch.float64)
    rows = ops.vae_loss(*tensors, reduction="none").loss
    leaf = weight.clone().requires_grad_()
    (found,) = torch.autograd.grad(ops.vae_loss(*tensors, sample_weight=leaf, reduction=reduction).loss.sum(), leaf)
    mean = (weight * rows).sum() / weight.sum()
    assert_near(found, rows if reduction == "none" else (rows - mean) / weight.sum())


def test_confident_pixels_lose_no_digits_to_weights(simd):
    """Terms of 1e-4 to 1e-9 are not what is left of greater ones with two signs."""
    logits = torch.tensor([[-9.0, -12.0, -16.0, -20.0, 9.0, 12.0, 16.0, 20.0]])
    target, latents = (logits > 0).float(), torch.zeros(1, 0)
    for weight in (1.0, 3.0, 1e4):
        options = {"pos_weight": weight, "mask": torch.ones(1, 8, dtype=torch.bool)}
        found = results(ops.vae_loss, (logits, target, latents, latents), options)
        wide = as_double((logits, target, latents, latents))
        expected = results(reference.vae_loss, wide, options | {"pos_weight": torch.full((8,), weight)})
        torch.testing.assert_close(found[1].double(), expected[1], rtol=1e-5, atol=0)
        torch.testing.assert_close(found[3].double(), expected[3], rtol=1e-5, atol=0)


def test_a_weight_of_0_stops_any_gradient_from_above(simd):
    logits, target, mu, logvar = inputs((6,))
    leaves = [t.requires_grad_() for t in (logits, mu, logvar)]
    weight = torch.tensor([0.0, 1.0, 2.0, 1.0, 1.0])
    rows = ops.vae_loss(logits, target, mu, logvar, sample_weight=weight, reduction="none").loss
    for gradient in torch.autograd.grad(rows.log().sum(), leaves):
        assert gradient.isfinite().all()
        assert (gradient[0] == 0).all()


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.uint16, torch.bool, torch.int64, torch.float16, torch.float8_e4m3fn]
)
def test_weights_of_any_dtype(dtype):
    tensors, weight = inputs((6,)), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    for reduction in ("mean", "none"):
        found, expected = (
            ops.vae_loss(*tensors, sample_weight=w, reduction=reduction) for w in (weight.to(dtype), weight)
        )
        assert torch.equal(found.loss, expected.loss)


def test_wrong_targets_that_count_are_errors():
    logits, target, mu, logvar = inputs((300,))
    target[3, 270] = 255.0
    seen = torch.ones(B, 300, dtype=torch.bool)
    hidden = seen.clone()
    hidden[3, 270] = False
    weight = torch.tensor([1.0, 1, 1, 0, 1])
    for options in ({"mask": hidden}, {"sample_weight": weight}, {"mask": hidden, "pos_weight": 2.0}):
        assert ops.vae_loss(logits, target, mu, logvar, **options).loss.isfinite()
    for options in ({"mask": seen}, {"sample_weight": weight + 1}, {"pos_weight": 2.0}):
        with pytest.raises(ValueError, match=r"^target: expected numbers in \[0, 1\].*got 255.0$"):
            ops.vae_loss(logits, target, mu, logvar, **options)


@given(st.data(), st.integers(1, 6), st.integers(0, 600), st.sampled_from(["bernoulli", "gaussian"]))
def test_any_size_and_any_set_of_options(data, rows, pixels, likelihood):
    names = [n for n in OPTIONS if data.draw(st.booleans()) and not (n == "pos_weight" and likelihood == "gaussian")]
    tensors, options = inputs((pixels,), rows=rows), options_of(names, (pixels,), rows=rows)
    if "sample_weight" in options:
        options["sample_weight"] = torch.rand(rows) + 0.1
    way = {"likelihood": likelihood, "reduction": data.draw(st.sampled_from(["mean", "none"]))}
    actual = results(ops.vae_loss, tensors, options, **way)
    expected = results(reference.vae_loss, as_double(tensors), doubled(options), **way)
    for one, wanted in zip(actual, expected, strict=True):
        assert one.shape == wanted.shape
        # beside a 1, since all numbers may be near 0
        pair = (torch.nn.functional.pad(numbers.double().flatten(), (0, 1), value=1.0) for numbers in (one, wanted))
        assert_near(*pair, tolerance=1e-5)


BOOL = torch.ones(2, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("error", "name", "change"),
    [
        (TypeError, "prior_mu", {"prior_mu": 0.0}),
        (ValueError, "prior_mu", {"prior_mu": torch.zeros(3, 2)}),
        (TypeError, "prior_logvar", {"prior_logvar": torch.zeros(2, 2, dtype=torch.float64)}),
        (TypeError, "mask", {"mask": BOOL.float()}),
        (ValueError, "mask", {"mask": BOOL[:, :2]}),
        (ValueError, "mask", {"mask": BOOL.to("meta")}),
        (TypeError, "sample_weight", {"sample_weight": 1.0}),
        (TypeError, "sample_weight", {"sample_weight": torch.ones(2) * 1j}),
        (ValueError, "sample_weight", {"sample_weight": torch.ones(3)}),
        (ValueError, "sample_weight", {"sample_weight": torch.tensor([1.0, -1.0])}),
        (ValueError, "sample_weight", {"sample_weight": torch.tensor([1.0, NAN])}),
        (ValueError, "sample_weight", {"sample_weight": torch.tensor([1.0, float("inf")])}),
        (ValueError, "sample_weight", {"sample_weight": torch.zeros(2)}),
        (ValueError, "sample_weight", {"sample_weight": torch.nn.Parameter(torch.tensor([1.0, -1.0]))}),
        (ValueError, "sample_weight", {"sample_weight": torch.tensor([1.0, 1e39]).double(), "reduction": "none"}),
        (ValueError, "pos_weight", {"pos_weight": -1.0}),
        (ValueError, "pos_weight", {"pos_weight": NAN}),
        (ValueError, "pos_weight", {"pos_weight": 10**400}),
        (TypeError, "pos_weight", {"pos_weight": "two"}),
        (ValueError, "pos_weight", {"pos_weight": torch.ones(2)}),
        (ValueError, "pos_weight", {"pos_weight": 2.0, "likelihood": "gaussian"}),
    ],
)
def test_errors_name_the_argument(error, name, change):
    images, latents = torch.zeros(2, 3), torch.zeros(2, 2)
    with pytest.raises(error, match=f"^{name}: expected"):
        ops.vae_loss(images, images, latents, latents, **change)
