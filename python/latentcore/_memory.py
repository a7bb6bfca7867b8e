"""How much memory is free, and how what was freed is given back to the system.

glibc before 2.38 does not find a freed aligned block again once a small one lies beside it, so that a loop which makes
and frees tensors of some megabytes can take new memory in each round (its bug 30945).
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

_STATM, _SYSTEM, _GROUP = Path("/proc/self/statm"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class FreedMemory:
    """To be told of every round of a loop; it looks now and then how much memory this process holds.

    Args:
        every: Rounds from one look to the next, which takes some ten microseconds.
        growth: Bytes by which the process may grow before all that is free is given back.
    """

    def __init__(self, every: int = 8, growth: int = 64 << 20) -> None:
        self._every, self._growth, self._rounds = every, growth, 0
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._held = self._resident()

    def round(self) -> None:
        """One more is done."""
        self._rounds += 1
        if self._trim is None or self._rounds % self._every:
            return
        if self._resident() > self._held + self._growth:
            self._trim(0)
            self._held = self._resident()

    def _resident(self) -> int:
        try:
            return int(_STATM.read_bytes().split()[1]) * _PAGE
        except OSError:
            return 0


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
