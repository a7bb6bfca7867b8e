"""How many bytes of a file, of whichever format, are believed before they are read."""

import os
from contextlib import suppress

from latentcore import _errors

_LARGE = 2**28  # bytes that any file may unpack to
_PACKED = 200  # beyond that, how many bytes one byte of a file may stand for; no images come near


def check_size(name: str, promised: int, stored: int) -> None:
    """So many bytes can be meant by a file, or a part of it, that takes `stored` of them: they are no bomb.

    Raises:
        ValueError: They would not fit this machine's memory, or are packed as nothing but a bomb is.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if promised > memory:
        _errors.fail_value(name, f"no more than this machine's memory, {memory:,} bytes", f"{promised:,} by its header")
    if promised > _LARGE and promised > _PACKED * stored:
        words = f"at most {_PACKED} bytes for each that is stored"
        _errors.fail_value(name, words, f"{promised:,} for {stored:,} by its header")


def on_disk(descriptor: int) -> int:
    """The bytes of an open file without its holes, which take no room and are read as zeros.

    The file's blocks would not do: some systems count them only some time after they were written.
    """
    before, size = os.lseek(descriptor, 0, os.SEEK_CUR), os.fstat(descriptor).st_size
    found = end = 0
    with suppress(OSError):  # nothing but a hole is left
        while end < size:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
            end = os.lseek(descriptor, begin, os.SEEK_HOLE)
            found += end - begin
    os.lseek(descriptor, before, os.SEEK_SET)
    return found
