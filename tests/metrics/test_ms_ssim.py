"""Structural similarity on several scales."""

import pytest
import torch
from torch.nn import functional as F

from latentcore.metrics import ms_ssim, ssim


def pairs(side=64, noise=0.1):
    a = F.interpolate(torch.rand(4, 3, 8, 8), side, mode="bilinear")
    return a, (a + noise * torch.randn_like(a)).clamp(0, 1)


def test_one_scale_is_plain_similarity():
    a, b = pairs(13)
    torch.testing.assert_close(ms_ssim(a, b), ssim(a, b))


def test_two_scales_by_hand():
    a, b = (image.double() for image in pairs(16))
    halves = [F.avg_pool2d(image, 2) for image in (a, b)]
    windows = [[image.unfold(2, 7, 1).unfold(3, 7, 1).flatten(4) for image in pair] for pair in ((a, b),)]
    (x, y), c2 = windows[0], 0.03**2
    covariance = ((x - x.mean(4, keepdim=True)) * (y - y.mean(4, keepdim=True))).sum(4) / 48
    contrast = ((2 * covariance + c2) / (x.var(4) + y.var(4) + c2)).flatten(1).mean(1)
    total = 0.0448 + 0.2856
    expected = contrast ** (0.0448 / total) * ssim(*halves) ** (0.2856 / total)
    torch.testing.assert_close(ms_ssim(a, b), expected)


def test_same_images_are_1_and_more_noise_is_less():
    torch.testing.assert_close(ms_ssim(*pairs(noise=0)), torch.ones(4))
    little, much = (ms_ssim(*pairs(noise=noise)) for noise in (0.05, 0.3))
    assert bool((much < little).all())


def test_gradients_are_finite_where_images_are_opposite():
    a, _ = pairs()
    b = (1 - a).requires_grad_()
    ms_ssim(a, b).sum().backward()
    assert bool(b.grad.isfinite().all())


def test_images_smaller_than_a_window():
    with pytest.raises(ValueError, match="a: expected sides of at least 7 pixels"):
        ms_ssim(torch.rand(1, 1, 6, 9), torch.rand(1, 1, 6, 9))
