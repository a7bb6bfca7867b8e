"""How much memory is free."""

from contextlib import suppress
from pathlib import Path

_SYSTEM, _GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


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
