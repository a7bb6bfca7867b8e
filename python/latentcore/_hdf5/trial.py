"""Reading on trial, in another process, what lies in a file's heap: a virtual data set's sources, an attribute's text.

HDF5 believes what a heap says of itself: where that is damaged, reading may end the process, or never end.
"""

import os
import re
import subprocess
import sys
from functools import lru_cache

import h5py

from latentcore import _errors

_HEADER = 2**16  # bytes from the beginning of an object's header, in which its messages stand
# a message of type 8 says how the numbers are laid out: its head, of either version of headers, then a version and 3
_VIRTUAL = re.compile(rb"\x08(?:\x00.{6}|.{3}|.{5})[\x04\x05]\x03", re.DOTALL)
_LONGEST = 20  # seconds

_SOURCES = """
import sys, h5py
found = h5py.File(sys.argv[1], "r", locking=False)[sys.argv[2]]
isinstance(found, h5py.Dataset) and found.is_virtual and found.virtual_sources()
"""
_ATTRIBUTE = """
import sys, h5py
h5py.File(sys.argv[1], "r", locking=False).attrs[sys.argv[2]]
"""


def check_opens(file: h5py.File, way: str, name: str) -> None:
    """What lies at the end of a way of hard links is not virtual, or can be opened without harm."""
    if file.driver != "sec2" or not _may_be_virtual(file, way):
        return
    if not _tried(file, _SOURCES, way):
        _errors.fail_value(name, "a whole data set", "a virtual one with damaged sources")


def check_attribute(file: h5py.File, key: str, name: str) -> None:
    """An attribute of the file can be read without harm."""
    if file.driver != "sec2" or not _tried(file, _ATTRIBUTE, key):
        _errors.fail_value(name, "a whole attribute", "one in a damaged heap")


def _tried(file: h5py.File, code: str, key: str) -> bool:
    status = os.fstat(file.id.get_vfd_handle())
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return _survives(os.path.realpath(file.filename), code, key, stamp)


def _may_be_virtual(file: h5py.File, way: str) -> bool:
    place = h5py.h5o.get_info(file.id, os.fsencode(way)).addr + file.userblock_size
    return _VIRTUAL.search(os.pread(file.id.get_vfd_handle(), _HEADER, place)) is not None


@lru_cache(4096)
def _survives(path: str, code: str, key: str, _stamp: tuple[int, ...]) -> bool:
    command = [sys.executable, "-I", "-c", code, path, key]
    try:
        # what Python itself says of a damaged file is found again here
        return subprocess.run(command, capture_output=True, timeout=_LONGEST, check=False).returncode >= 0
    except subprocess.TimeoutExpired:
        return False
