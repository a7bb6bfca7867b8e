"""Principal axes of more images than fit into memory as numbers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._memory import bounded
from latentcore.data.convert import to_unit
from latentcore.models import PrincipalAxes

# shapes: (N, C, H, W) images, P = C * H * W, A axes

_MOST = 20_000  # images that are looked at: more hardly turn the axes
_SPARE = 10  # axes that are found and not kept
_TURNS = 4  # each brings the axes nearer by the ratio of the variances
_BATCH = 512


def principal_axes(images: Tensor, axes: int, *, seed: int = 0) -> PrincipalAxes:
    r"""Mean and longest principal axes of images, by turns of a random subspace.

    With centred images X, (N, P), and an orthonormal Q that begins at random, each turn is
    :math:`Q \leftarrow \operatorname{orth}(X^\top X Q)`; the axes are then those of :math:`X Q`. Images are read some
    at a time, 20,000 from all over at most.

    Args:
        images: uint8, or float in [0, 1]. (N, C, H, W), N >= 2.
        axes: How many, A; there are never more than N - 1 or P.
        seed: Of the subspace.

    Returns:
        Mean (C, H, W), axes, the longest first, and the deviations along them and of the channels, divided by N.

    Raises:
        TypeError: `axes` is no int.
        ValueError: There are too few images, or no axis is wanted.

    Example:
        >>> import torch
        >>> found = principal_axes(torch.rand(100, 3, 4, 4), 5)
        >>> found.components.shape, found.deviations.shape
        (torch.Size([5, 3, 4, 4]), torch.Size([5]))

    Reference:
        Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53(2), 2011, algorithm 4.4.
    """
    _errors.integer("axes", axes, 1, 2**31)
    if len(images) < 2:
        _errors.fail_value("images", "at least 2", len(images))
    rows = torch.linspace(0, len(images) - 1, min(_MOST, len(images)), dtype=torch.float64).long()
    pixels = images[0].numel()
    count = min(axes, len(rows) - 1, pixels)
    width = min(count + _SPARE, len(rows), pixels)
    exact_mean, squares = _moments(images, rows)
    mean = exact_mean.float()
    basis = torch.randn(pixels, width, generator=torch.Generator().manual_seed(seed))
    for _ in range(_TURNS):
        basis = torch.linalg.qr(sum(part.T @ (part @ basis) for part in _centred(images, rows, mean))).Q
    # of so many numbers float32 would lose digits
    moments = sum((part @ basis).double().T @ (part @ basis).double() for part in _centred(images, rows, mean))
    variances, turn = torch.linalg.eigh(moments / len(rows))
    longest = variances.argsort(descending=True)[:count]
    components = (basis @ turn[:, longest].float()).T
    shape = images.shape[1:]
    return PrincipalAxes(
        mean.view(shape),
        components.reshape(count, *shape),
        variances[longest].clamp_min(0).sqrt().float(),
        (squares.view(shape).mean((1, 2)) - exact_mean.view(shape).mean((1, 2)).square()).clamp_min(0).sqrt().float(),
    )


def _moments(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Means of the pixels and of their squares. (P,) each, float64."""
    sums = [torch.zeros(images[0].numel(), dtype=torch.float64) for _ in range(2)]
    for part in _centred(images, rows, torch.zeros(1)):
        sums[0] += part.sum(0, dtype=torch.float64)
        sums[1] += part.double().square().sum(0)  # float32 would see deviations where all pixels are the same
    return sums[0] / len(rows), sums[1] / len(rows)


def _centred(images: Tensor, rows: Tensor, mean: Tensor) -> Iterator[Tensor]:
    """The images of some rows less the mean, some at a time. (B, P)."""
    for some in bounded(rows.split(_BATCH)):
        yield to_unit(images[some].cpu()).flatten(1).float() - mean
