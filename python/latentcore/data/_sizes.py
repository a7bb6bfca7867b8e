"""How much of a file is believed before it is read."""

import os
from collections.abc import Sequence
from math import prod

from latentcore import _checks

_LARGE = 2**28  # bytes that any file may unpack to
_PACKED = 200  # beyond that, how many bytes one byte of a file may stand for; no images come near


def check_size(name: str, promised: int, stored: int) -> None:
    """So many bytes can be meant by a file, or a part of it, that takes `stored` of them: they are no bomb.

    Raises:
        ValueError: They would not fit this machine's memory, or are packed as nothing but a bomb is.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if promised > memory:
        _checks.fail_value(name, f"no more than this machine's memory, {memory:,} bytes", f"{promised:,} by its header")
    if promised > _LARGE and promised > _PACKED * stored:
        words = f"at most {_PACKED} bytes for each that is stored"
        _checks.fail_value(name, words, f"{promised:,} for {stored:,} by its header")


def bytes_of(shape: Sequence[int], itemsize: int) -> int:
    """What an array takes, as an int of any size."""
    return prod(map(int, shape)) * int(itemsize)
