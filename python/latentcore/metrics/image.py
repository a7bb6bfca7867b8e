"""How near two batches of images are; all take images (N, C, H, W) in [0, 1] and return one number per image.

The numbers are float32, or float64 for float64 images.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore import _checks

_WINDOW = 7


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared error of each image. (N,)."""
    _check(a, b)
    dtype = _result_dtype(a)
    return (a.to(dtype) - b.to(dtype)).square().flatten(1).mean(1)


def psnr(a: Tensor, b: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of each image in dB, :math:`-10 \log_{10} MSE`. (N,); infinite where MSE is 0."""
    return -10 * torch.log10(mse(a, b))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each image, as scikit-image defines it by default. (N,) in [-1, 1].

    A uniform 7x7 window, sample covariances, the mean over the windows that lie wholly inside and over the channels;
    data range 1.

    Raises:
        ValueError: The images are smaller than the window, or differ in shape.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 1, 28, 28)
        >>> ssim(image, image)
        tensor([1.])

    Reference:
        Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment", IEEE Trans. Image Processing 13(4), 2004.
    """
    _check(a, b)
    if min(a.shape[-2:]) < _WINDOW:
        _checks.fail_value("a", f"sides of at least {_WINDOW} pixels", tuple(a.shape))
    dtype = _result_dtype(a)
    a, b = a.double(), b.double()  # differences of squares lose digits
    sample = _WINDOW**2 / (_WINDOW**2 - 1)
    mean_a, mean_b = _windows(a), _windows(b)
    variance_a = sample * (_windows(a * a) - mean_a * mean_a)
    variance_b = sample * (_windows(b * b) - mean_b * mean_b)
    covariance = sample * (_windows(a * b) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    denominator = (mean_a.square() + mean_b.square() + c1) * (variance_a + variance_b + c2)
    return (numerator / denominator).flatten(1).mean(1).to(dtype)


def _result_dtype(images: Tensor) -> torch.dtype:
    return torch.promote_types(images.dtype, torch.float32)


def _windows(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, _WINDOW, stride=1)


def _check(a: Tensor, b: Tensor) -> None:
    _checks.floating("a", a)
    _checks.shape("a", a, ("N", "C", "H", "W"))
    _checks.like("b", b, "a", a)
    _checks.shape("b", b, tuple(a.shape))
