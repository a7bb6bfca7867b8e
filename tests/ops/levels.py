"""Instruction sets that the CPU kernels are compiled for."""

from contextlib import contextmanager

import pytest

from latentcore import _C

LEVELS = ("baseline", "avx2", "avx512")
# no more than LATENTCORE_SIMD allows, if somebody has set it
_HERE = LEVELS[: LEVELS.index(_C.simd_level()) + 1]


@contextmanager
def at_level(level):
    """The kernels are those of this level; the test is skipped where the processor lacks it."""
    if level not in _HERE:
        pytest.skip(f"this processor has no {level}, or is not to use it")
    before = _C.simd_level()
    _C.set_simd_level(level)
    try:
        yield
    finally:
        _C.set_simd_level(before)
