"""What unpacks a chunk of an HDF5 file without HDF5, whose lock would keep other threads waiting."""

import ctypes
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import h5py
import numpy as np
import torch

from latentcore import _native

_INPUT = 2**14  # bytes that zlib is given at once, since it may make a thousand times as many of them

Decoder = Callable[[np.ndarray, np.ndarray], bool]


def inflate(packed: np.ndarray, into: np.ndarray) -> bool:
    """Unpack what zlib packed; whether it was as much as there is room for."""
    room, filled = memoryview(into.data).cast("B"), 0
    inflater = zlib.decompressobj()
    source = packed.data
    try:
        for begin in range(0, len(source), _INPUT):
            part = inflater.decompress(source[begin : begin + _INPUT])
            if filled + len(part) > len(room):
                return False
            room[filled : filled + len(part)] = part
            filled += len(part)
    except zlib.error:
        return False
    return inflater.eof and filled == len(room)


def lzf() -> Decoder | None:
    """The native decoder, or h5py's where it is missing; either lets other threads run meanwhile."""
    return native_lzf if _native.cpu_library.loaded else lzf_of_h5py()


def native_lzf(packed: np.ndarray, into: np.ndarray) -> bool:
    """Unpack what lzf packed; whether it was as much as there is room for."""
    room = torch.from_numpy(into.reshape(-1).view(np.uint8))
    whole: bool = torch.ops.latentcore.lzf_decompress(torch.from_numpy(packed), room)
    return whole


@cache
def lzf_of_h5py() -> Decoder | None:
    """The decoder of h5py's own filter, if h5py was built so that it can be called."""
    with suppress(OSError, AttributeError):
        function = ctypes.CDLL(h5py.h5z.__file__).lzf_decompress
        function.restype = ctypes.c_uint
        function.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_uint]
        return lambda a, b: function(a.ctypes.data, a.nbytes, b.ctypes.data, b.nbytes) == b.nbytes
    return None
