"""How much memory is free, and how what was freed is given back to the system.

glibc before 2.38 does not find a freed aligned block again once a small one lies beside it, so that a loop which makes
and frees tensors of some megabytes can take new memory in each round (its bug 30945).
"""

import ctypes
import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

_STATM, _SYSTEM, _GROUP = Path("/proc/self/statm"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")
T = TypeVar("T")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class FreedMemory:
    """To be told of every round of a loop; it looks now and then how much memory this process holds.

    What the process holds after a round is compared with what it held after the first one, and, once all that was free
    has been given back, after the next: so what every round takes and frees is no growth, and is not given back and
    taken again in each of them.

    Args:
        seconds: From one look to the next, at the least. A look takes some ten microseconds.
        growth: Bytes by which the process may grow before all that is free is given back.
    """

    def __init__(self, seconds: float = 0.005, growth: int = 64 << 20) -> None:
        self._seconds, self._growth = seconds, growth
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._held: int | None = None
        self._looked = -math.inf

    def round(self) -> None:
        """One more is done."""
        now = time.perf_counter()
        if self._trim is None or now < self._looked + self._seconds:
            return
        self._looked, held = now, self._resident()
        if self._held is None:
            self._held = held
        elif held > self._held + self._growth:
            self._trim(0)
            self._held = None

    def between(self, rounds: Iterable[T]) -> Iterator[T]:
        """The rounds of a loop, as it makes them."""
        for one in rounds:
            yield one
            self.round()

    def _resident(self) -> int:
        try:
            return int(_STATM.read_bytes().split()[1]) * _PAGE
        except OSError:
            return 0


_short = FreedMemory()  # of many loops, none of which may be long enough to see itself grow


def bounded(rounds: Iterable[T]) -> Iterator[T]:
    """The rounds of a loop, as it makes them; memory that they, or those of other loops, free is given back."""
    return _short.between(rounds)


def available() -> int:
    """Bytes that this process may still take: the system's, or those of its container where these are fewer."""
    lines = (line.split() for line in _SYSTEM.read_text().splitlines())
    free = next(1024 * int(words[1]) for words in lines if words[0] == "MemAvailable:")
    with suppress(OSError, ValueError):  # no container, or "max": no limit
        limit = int((_GROUP / "memory.max").read_text())
        free = min(free, limit - int((_GROUP / "memory.current").read_text()) + _cached())
    return free


def _cached() -> int:
    """Bytes of the container's that hold files, which go where memory is needed."""
    lines = (_GROUP / "memory.stat").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("active_file ", "inactive_file ")))


def megabytes(size: int) -> str:
    """A number of bytes for people."""
    return f"{size / 2**20:,.1f} MB"
