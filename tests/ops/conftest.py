import harness
import pytest

from latentcore import _C

# CUDA kernels on the CPU, in two orders of their threads
CUDA = ["cuda-0", "cuda-1"] if harness.ENABLED else []


@pytest.fixture(params=[*_C.simd_levels(), *CUDA])
def simd(request):
    """Run the test at every SIMD level of this processor, and with the CUDA kernels."""
    if request.param in CUDA:
        with harness.kernels(seed=CUDA.index(request.param)):
            yield request.param
        return
    before = _C.simd_level()
    _C.set_simd_level(request.param)
    yield request.param
    _C.set_simd_level(before)


@pytest.fixture(params=["cpu", *CUDA])
def backend(request):
    """Run the test with the CPU's kernels and with the CUDA kernels, where all SIMD levels are the same code."""
    if request.param == "cpu":
        yield request.param
        return
    with harness.kernels(seed=CUDA.index(request.param)):
        yield request.param
