import numpy as np
import pytest
import skimage.metrics
import torch

from latentcore import metrics


@pytest.mark.parametrize("shape", [(3, 1, 28, 28), (2, 3, 9, 17), (1, 1, 7, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ssim_is_scikit_images(shape, dtype):
    a = torch.rand(shape, dtype=dtype)
    b = (a + 0.2 * torch.randn(shape, dtype=dtype)).clamp(0, 1)
    expected = [
        skimage.metrics.structural_similarity(x.numpy(), y.numpy(), win_size=7, data_range=1, channel_axis=0)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(a, b), expected, atol=1e-5)
    assert torch.allclose(metrics.ssim(a, a), torch.ones(len(a), dtype=dtype))


def test_mse_and_psnr_are_per_image():
    a, b = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    b[0] = 0.1
    assert metrics.mse(a, b).tolist() == pytest.approx([0.01, 0])
    assert metrics.psnr(a, b).tolist() == pytest.approx([20, float("inf")])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_measured_in_float(dtype):
    a = torch.full((1, 1, 9, 9), 2.0**-13, dtype=dtype)  # its square is 0 in float16
    b = torch.zeros_like(a)
    assert metrics.mse(a, b).tolist() == [2.0**-26]
    assert metrics.psnr(a, b).item() == pytest.approx(78.268, abs=1e-3)
    assert metrics.ssim(a, b).dtype == torch.float32


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (torch.zeros(1, 1, 6, 9), torch.zeros(1, 1, 6, 9), "a: expected sides of at least 7"),
        (torch.zeros(1, 1, 9, 9), torch.zeros(2, 1, 9, 9), "b: expected shape"),
        (torch.zeros(9, 9), torch.zeros(9, 9), "a: expected shape"),
    ],
)
def test_errors(a, b, message):
    with pytest.raises(ValueError, match=message):
        metrics.ssim(a, b)


def test_classification_report():
    report = metrics.classification_report([1, 1, 4, 8], [1, 4, 4, 8])
    assert report.accuracy == 0.75
    assert report.precision == pytest.approx((1 + 0.5 + 1) / 3)
    assert report.recall == pytest.approx((0.5 + 1 + 1) / 3)
    assert report.f1_macro == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert report.f1_score == pytest.approx((report.f1_macro + 0.75) / 2)
