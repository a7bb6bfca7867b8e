"""Gives memory that was freed back to the system, where the C library would keep ever more of it.

glibc before 2.38 does not find a freed aligned block again once a small one lies beside it, so that a loop which makes
and frees tensors of some megabytes can take new memory in each round (its bug 30945).
"""

import ctypes
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE = 4096


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
