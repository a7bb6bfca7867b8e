"""What one pass over events finds out: how to scale the channels, and what a file looks like."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor

from latentcore import _checks, _errors

# shapes: n events of a piece, C channels, H rows and W columns of cells

_ROUNDING = 1e-12  # relative, of sums of millions of numbers
_HOW = ("standard", "nonzero", "maximum")


@dataclass(frozen=True)
class Normalisation:
    """How large the numbers of each channel are.

    Attributes:
        mean: Of all cells, for each of C channels, in the file's units, as all that follows.
        std: The standard deviation of all cells.
        nonzero_mean: The mean of the cells that are not zero.
        nonzero_std: The standard deviation of the cells that are not zero.
        maximum: The largest absolute number.

    Example:
        >>> import torch
        >>> from latentcore.data.egamma import Normalisation
        >>> found = Normalisation(mean=(1.0,), std=(2.0,), nonzero_mean=(2.0,), nonzero_std=(0.5,), maximum=(4.0,))
        >>> found(torch.tensor([[[[0.0, 3.0]]]]))
        tensor([[[[-0.5000,  1.0000]]]])
        >>> found(torch.tensor([[[[0.0, 3.0]]]]), how="nonzero")
        tensor([[[[0., 6.]]]])
        >>> Normalisation.from_dict(found.to_dict()) == found
        True
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    nonzero_mean: tuple[float, ...]
    nonzero_std: tuple[float, ...]
    maximum: tuple[float, ...]

    def __call__(self, images: Tensor, how: str = "standard") -> Tensor:
        """Scaled images. What would be divided by zero is left as it is.

        Args:
            images: (B, C, H, W), floating point.
            how: "standard" takes the mean off and divides by the standard deviation; the others leave zeros as they
                are: "nonzero" divides by the standard deviation of what is not zero, "maximum" by the maximum.

        Returns:
            (B, C, H, W), of the dtype of `images`.
        """
        _checks.floating("images", images)
        _checks.shape("images", images, ("B", len(self.mean), "H", "W"))
        offset, factor = (_beside(numbers, images) for numbers in self.scaling(how))
        return (images - offset) * factor

    def scaling(self, how: str = "standard") -> tuple[list[float], list[float]]:
        """Offset and factor of each channel, of which a scaled number is (number - offset) * factor."""
        _errors.one_of("how", how, _HOW)
        spread = {"standard": self.std, "nonzero": self.nonzero_std, "maximum": self.maximum}[how]
        offset = self.mean if how == "standard" else (0.0,) * len(self.mean)
        return list(offset), [1 / s if s else 1.0 for s in spread]

    def to_dict(self) -> dict[str, list[float]]:
        """Numbers as JSON has them."""
        return {name: list(values) for name, values in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Iterable[float]]) -> Self:
        """What `to_dict` gave."""
        names = [field.name for field in fields(cls)]
        if set(values) != set(names):
            _errors.fail_value("values", ", ".join(names), list(values))
        return cls(**{name: tuple(map(float, values[name])) for name in names})


class Sums:
    """Adds up pieces of events, in float64.

    Args:
        shape: (C, H, W).
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels = shape[0]
        self._events = torch.zeros(2, dtype=torch.float64)
        self._images = torch.zeros((2, *shape), dtype=torch.float64)
        self._squares = torch.zeros(channels, dtype=torch.float64)
        self._nonzero = torch.zeros(channels, dtype=torch.float64)
        self._lowest = torch.full((channels,), torch.inf, dtype=torch.float64)
        self._highest = -self._lowest

    def add(self, images: Tensor, labels: Tensor) -> None:
        """Take in events (n, C, H, W) with labels (n,), 0 or 1."""
        self._events += torch.bincount(labels, minlength=2)
        for channel in range(images.shape[1]):
            cells = images[:, channel].double().flatten(1)
            for label in (0, 1):  # a product of matrices would load a library of many MB
                self._images[label, channel] += cells[labels == label].sum(0).view(images.shape[2:])
            self._squares[channel] += cells.square().sum()
            self._nonzero[channel] += torch.count_nonzero(cells)
            low, high = cells.aminmax()
            self._lowest[channel] = torch.minimum(self._lowest[channel], low)
            self._highest[channel] = torch.maximum(self._highest[channel], high)

    def normalisation(self) -> Normalisation:
        """The scales of all that was added."""
        total, nonzero = self._images.sum((0, 2, 3)), self._nonzero.clamp_min(1)
        mean, nonzero_mean = total / self._cells(), total / nonzero
        std = _deviation(self._squares / self._cells(), mean)
        nonzero_std = _deviation(self._squares / nonzero, nonzero_mean)
        maximum = torch.maximum(self._lowest.abs(), self._highest.abs())
        return Normalisation(*(tuple(v.tolist()) for v in (mean, std, nonzero_mean, nonzero_std, maximum)))

    def summary(self) -> dict[str, Any]:
        """Ranges, share of zeros and mean images of all that was added."""
        return {
            "minimum": self._lowest.tolist(),
            "maximum": self._highest.tolist(),
            "zeros": (1 - self._nonzero / self._cells()).tolist(),
            # of a class without events: zeros
            "mean_images": self._images / self._events.clamp_min(1).view(2, 1, 1, 1),
        }

    def _cells(self) -> float:
        return float(self._events.sum()) * self._images[0, 0].numel()


def _deviation(mean_square: Tensor, mean: Tensor) -> Tensor:
    """The standard deviation; 0 where it is less than the rounding of the difference leaves."""
    variance = mean_square - mean.square()
    return torch.where(variance > _ROUNDING * mean_square, variance, 0).sqrt()


def _beside(values: Iterable[float], images: Tensor) -> Tensor:
    return torch.tensor(list(values), dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
