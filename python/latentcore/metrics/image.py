"""How near two batches of images are; all take images (N, C, H, W) in [0, 1] and return one number per image.

The numbers are float32, or float64 for float64 images.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore import _checks, _errors

_WINDOW = 7
# of the scales, the finest first: as viewers weigh them
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_PART = 2**16  # numbers of a batch of images
_LEAST = 1e-6  # below it a power has no useful slope


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
    _check_side(a)
    return _in_parts(lambda x, y: _similarities(x.double(), y.double())[0], a, b)


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    r"""Structural similarity of each image on several scales. (N,) in [0, 1]; differentiable.

    .. math::

        \prod_{j < M} \overline{c_j}^{w_j} \cdot \mathrm{SSIM}_M^{w_M}

    with the contrast and structure term :math:`c_j` of each scale, a mean over the image, and the whole similarity on
    the coarsest; windows are those of `ssim`. A scale has half the pixels of the one before along each side; there are
    as many as have room for a window, at most five, and their weights w are the paper's, divided by their sum.

    Raises:
        ValueError: The images are smaller than the window, or differ in shape.

    Example:
        >>> import torch
        >>> image = torch.rand(1, 3, 64, 64)
        >>> ms_ssim(image, image)
        tensor([1.])

    Reference:
        Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment", Asilomar 2003.
    """
    _check(a, b)
    _check_side(a)
    return _in_parts(_on_several_scales, a, b)


def _on_several_scales(a: Tensor, b: Tensor) -> Tensor:
    scales = 1
    while scales < len(_SCALES) and min(a.shape[-2:]) >> scales >= _WINDOW:
        scales += 1
    weights = [weight / sum(_SCALES[:scales]) for weight in _SCALES[:scales]]
    a, b = a.double(), b.double()  # differences of squares lose digits
    product = a.new_ones(len(a))
    for scale, weight in enumerate(weights):
        whole, contrast = _similarities(a, b)
        term = whole if scale == scales - 1 else contrast
        product = product * term.clamp_min(_LEAST) ** weight
        if scale < scales - 1:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return product


def _in_parts(similarity: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """A number per image, for so many images at a time that what is made of them stays in cache."""
    size = max(1, _PART // max(1, a[:1].numel())) if len(a) else 1
    parts = zip(a.split(size), b.split(size), strict=True)
    return torch.cat([similarity(*part) for part in parts]).to(_result_dtype(a))


def _similarities(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and its part that compares contrast and structure, of images in float64. (N,) each."""
    sample = _WINDOW**2 / (_WINDOW**2 - 1)
    mean_a, mean_b = _windows(a), _windows(b)
    variance_a = sample * (_windows(a * a) - mean_a * mean_a)
    variance_b = sample * (_windows(b * b) - mean_b * mean_b)
    covariance = sample * (_windows(a * b) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    return (luminance * contrast).flatten(1).mean(1), contrast.flatten(1).mean(1)


def _result_dtype(images: Tensor) -> torch.dtype:
    return torch.promote_types(images.dtype, torch.float32)


def _windows(images: Tensor) -> Tensor:
    """Means of all windows, (N, C, H - 6, W - 6): along one axis after the other, in sums of whole images.

    torch's pooling of float64 goes pixel by pixel and adds 49 numbers for each, 20 to 30 times as slowly.
    """
    return _sums_of_seven(_sums_of_seven(images, -1), -2) / _WINDOW**2


def _sums_of_seven(images: Tensor, dim: int) -> Tensor:
    """Of neighbours along an axis: twos, of them fours, and 4 + 2 + 1."""
    count = images.shape[dim] - _WINDOW + 1
    twos = images.narrow(dim, 0, count + 5) + images.narrow(dim, 1, count + 5)
    fours = twos.narrow(dim, 0, count) + twos.narrow(dim, 2, count)
    return fours + twos.narrow(dim, 4, count) + images.narrow(dim, 6, count)


def _check_side(a: Tensor) -> None:
    if min(a.shape[-2:]) < _WINDOW:
        _errors.fail_value("a", f"sides of at least {_WINDOW} pixels", tuple(a.shape))


def _check(a: Tensor, b: Tensor) -> None:
    _checks.floating("a", a)
    _checks.shape("a", a, ("N", "C", "H", "W"))
    _checks.like("b", b, "a", a)
    _checks.shape("b", b, tuple(a.shape))
