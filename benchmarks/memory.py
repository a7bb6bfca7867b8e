"""The most memory that a call has allocated at a time, above what there was before it."""

import ctypes
import gc
from collections.abc import Callable
from typing import Any

import torch

# `allocations.cpp`, where the process was started with it
_PROCESS = ctypes.CDLL(None)
COUNTED = hasattr(_PROCESS, "allocations_begin")
NOT_COUNTED = "not counted, for this process was not started with LD_PRELOAD=build/allocations.so, as `make bench` does"
if COUNTED:
    _PROCESS.allocations_end.restype = ctypes.c_long


def peak_bytes(function: Callable[[], Any], device: str = "cpu") -> int | None:
    """Bytes, its result included; None where nobody counts. Call it once before: first calls fill caches."""
    if device == "cuda":
        return _peak_on_cuda(function)
    if not COUNTED:
        return None
    gc.collect()  # or else what earlier calls left would be freed meanwhile, and hide as much
    _PROCESS.allocations_begin()
    try:
        result = function()  # kept until the count has ended, as its user would
    finally:
        most = int(_PROCESS.allocations_end())
    del result
    return most


def _peak_on_cuda(function: Callable[[], Any]) -> int:
    """Of the card's memory, by torch's own count, through which our kernels allocate too."""
    gc.collect()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return torch.cuda.max_memory_allocated() - before


def megabytes(size: int | None) -> str:
    """For a table, in 10^6 bytes."""
    if size is None:
        return "?"
    millions = size / 1e6
    if millions < 0.05:
        return "<0.1"
    return f"{millions:.1f}" if millions < 10 else f"{millions:.0f}"
