"""NumPy's files: their headers are judged before anything else is read, and no more is read than they promise."""

import os
import zipfile
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from latentcore.data._sizes import bytes_of, check_size, on_disk


class Found(NamedTuple):
    """What a file has under some names.

    Attributes:
        names: Of all its arrays.
        array: The first of those that were asked for, or None.
    """

    names: list[str]
    array: Any


def read_npz(file: IO[bytes], keys: Sequence[str]) -> Found:
    """The first array of an archive that has one of the names."""
    stored = on_disk(file.fileno())
    with zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        key = next((key for key in keys if key in members), None)
        if key is None:
            return Found(list(members), None)
        member = members[key]
        with archive.open(member) as content:
            return Found(list(members), _array(content, member.file_size, min(member.compress_size, stored)))


def read_npy(file: IO[bytes], keys: Sequence[str]) -> Found:
    """The only array of a file, which is called "images"."""
    if "images" not in keys:
        return Found(["images"], None)
    return Found(["images"], _array(file, os.fstat(file.fileno()).st_size, on_disk(file.fileno())))


def _array(content: IO[bytes], length: int, stored: int) -> Any:
    """The array in `length` bytes, which take `stored` bytes of the disk."""
    shape, dtype = _header(content)
    if dtype.hasobject:
        raise ValueError("pickled objects")
    promised, there = bytes_of(shape, dtype.itemsize), length - content.tell()
    if promised != there:
        raise ValueError(f"{there:,} bytes where its header promises {promised:,}")
    check_size("its array", promised, stored)
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)


def _header(content: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(content)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(content)
    else:  # written for names of fields, which images do not have
        raise ValueError(f"version {version} of the format")
    return shape, dtype
