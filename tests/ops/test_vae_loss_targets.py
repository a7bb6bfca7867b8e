"""Targets for which there is no Bernoulli likelihood: an error where somebody can look, else NaN."""

import functools

import pytest
import torch
from threads import assert_same_for_any_number_of_threads

from latentcore import _native, ops, reference

RAW = torch.ops.latentcore
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
WRONG = [255.0, 1.0078125, -1e-7, float("inf"), float("-inf"), float("nan")]
EXPECTED = r"^target: expected numbers in \[0, 1\] for the Bernoulli likelihood, got "


def inputs(shape=(5, 300), dtype=torch.float32):
    logits = torch.randn(shape).to(dtype).requires_grad_()
    mu, logvar = (torch.randn(shape[0], 3).to(dtype).requires_grad_() for _ in range(2))
    return logits, torch.rand(shape).to(dtype), mu, logvar


def with_wrong(target, value, place=(3, 270)):
    changed = target.clone()
    changed[place] = value
    return changed


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_it_is_an_error_that_says_the_value(dtype, value, reduction):
    logits, target, mu, logvar = inputs(dtype=dtype)
    target = with_wrong(target, value)
    for decoded in (logits, logits.detach()):
        with pytest.raises(ValueError, match=f"{EXPECTED}{target[3, 270].item()}$"):
            ops.vae_loss(decoded, target, mu, logvar, reduction=reduction)


def test_without_a_kernel_too(monkeypatch):
    logits, target, mu, logvar = inputs()
    monkeypatch.setattr(_native, "has_kernel", lambda *_: False)
    for value in WRONG:
        with pytest.raises(ValueError, match=EXPECTED):
            ops.vae_loss(logits, with_wrong(target, value), mu, logvar)
    ops.vae_loss(logits, target, mu, logvar)


@pytest.mark.parametrize("dtype", DTYPES)
def test_kernels_make_nan_of_its_sample_alone(simd, dtype):
    logits, target, mu, logvar = inputs(dtype=dtype)
    options = (*[None] * 5, 1.0, "bernoulli", 1.0)
    for value in WRONG:
        target_ = with_wrong(target, value)
        loss, reconstruction, kl, gradient = RAW.vae_loss(logits, target_, mu, logvar, *options, False, True)
        assert loss.isnan().tolist() == reconstruction.isnan().tolist() == [False, False, False, True, False]
        assert not kl.isnan().any()
        assert gradient.isnan().nonzero().tolist() == [[3, 270]]
        assert RAW.vae_loss(logits, target_, mu, logvar, *options, True, False)[0].isnan()
        twin = reference.vae_loss(logits, target_, mu, logvar, reduction="none")
        assert twin.loss.isnan().tolist() == loss.isnan().tolist()


def test_compiled_code_makes_nan():
    logits, target, mu, logvar = inputs()
    compiled = torch.compile(lambda *a: ops.vae_loss(*a).loss, fullgraph=True)
    assert compiled(logits, with_wrong(target, 255.0), mu, logvar).isnan()
    assert compiled(logits, target, mu, logvar).isfinite()
    # what it has seen does not trouble a right call of the same thread
    assert ops.vae_loss(logits, target, mu, logvar).loss.isfinite()


def test_transformed_calls_make_nan():
    logits, target, mu, logvar = (t.detach() for t in inputs())
    gradient = torch.func.grad(lambda t: ops.vae_loss(t, with_wrong(target, 2.0), mu, logvar).loss)(logits)
    assert gradient.isnan().nonzero().tolist() == [[3, 270]]


def test_all_numbers_from_0_to_1_bytes_and_gaussian_targets_are_allowed(simd):
    logits, target, mu, logvar = inputs()
    for value in (0.0, -0.0, 1.0, 1e-45, 1 - 2**-24):
        assert ops.vae_loss(logits, with_wrong(target, value), mu, logvar).loss.isfinite()
    assert ops.vae_loss(logits, torch.full(logits.shape, 255, dtype=torch.uint8), mu, logvar).loss.isfinite()
    assert ops.vae_loss(logits, with_wrong(target, 255.0), mu, logvar, likelihood="gaussian").loss.isfinite()


def test_logits_that_are_nan_are_no_fault_of_the_target(simd):
    logits, target, mu, logvar = inputs()
    assert ops.vae_loss(logits * float("nan"), target, mu, logvar).loss.isnan()


@pytest.mark.alone
def test_of_several_the_first_is_named_for_any_number_of_threads():
    logits, target, mu, logvar = inputs((64, 3000))
    target[40:, 7], target[11, 2999] = 9.0, 3.0

    def everything():
        with pytest.raises(ValueError, match=f"{EXPECTED}3.0$"):
            ops.vae_loss(logits, target, mu, logvar)
        found = RAW.vae_loss(logits, target, mu, logvar, *[None] * 5, 1.0, "bernoulli", 1.0, False, True)
        return [tensor.nan_to_num(nan=-1.0) for tensor in found]

    assert_same_for_any_number_of_threads(everything)


def test_a_wide_gaussian_is_no_bernoulli(simd):
    logits, target, mu, logvar = inputs()
    assert ops.vae_loss(logits, target, mu, logvar, likelihood="gaussian", scale=1e30).reconstruction.item() < 1e-30


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_that_are_turned_are_still_targets(simd, dtype):
    images, angle = torch.rand(8, 1, 28, 28), 360 * torch.rand(8, 40)
    images[::2] = images[::2].round()
    turned = ops.rotate(images.to(dtype), angle)
    assert turned.min() >= 0
    assert turned.max() <= 1


def test_a_call_that_nobody_could_check_leaves_others_alone():
    logits, latents = torch.zeros(2, 3), torch.zeros(2, 1)
    wrong = torch.full((2, 3), 2.0)
    options = (*[None] * 5, 1.0, "bernoulli", 1.0)
    unchecked = functools.partial(RAW.vae_loss, logits, wrong, latents, latents, *options)
    unchecked(True, False)
    assert ops.vae_loss(logits, wrong, latents, latents, likelihood="gaussian").loss.isfinite()
    assert ops.vae_loss(logits, wrong / 2, latents, latents).loss.isfinite()
    unchecked(True, False)
    assert ops.vae_loss(logits, torch.full((2, 3), 218, dtype=torch.uint8), latents, latents).loss.isfinite()


def test_logits_that_are_nan_are_no_fault_of_bytes(simd):
    logits, latents = torch.full((2, 3), float("nan")), torch.zeros(2, 1)
    assert ops.vae_loss(logits, torch.full((2, 3), 218, dtype=torch.uint8), latents, latents).loss.isnan()


def test_nor_are_they_in_plain_torch(monkeypatch):
    monkeypatch.setattr(_native, "has_kernel", lambda *_: False)
    logits, latents = torch.full((2, 3), float("nan")), torch.zeros(2, 1)
    assert ops.vae_loss(logits, torch.full((2, 3), 218, dtype=torch.uint8), latents, latents).loss.isnan()


def test_any_byte_of_a_mask_but_0_counts(simd):
    tensors, mask = inputs((5, 3)), torch.tensor([2, 0, 255], dtype=torch.uint8)
    found, expected = (ops.vae_loss(*tensors, mask=m).loss for m in (mask.view(torch.bool), mask != 0))
    assert torch.equal(found, expected)
