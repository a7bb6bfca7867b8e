"""How much of a file is believed before it is read."""

from collections.abc import Sequence
from math import prod

from latentcore._hdf5.sizes import check_size, on_disk

__all__ = ["bytes_of", "check_size", "on_disk"]


def bytes_of(shape: Sequence[int], itemsize: int) -> int:
    """What an array takes, as an int of any size."""
    return prod(map(int, shape)) * int(itemsize)
