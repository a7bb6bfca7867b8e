import harness
import pytest
from levels import LEVELS, at_level

# CUDA kernels on the CPU, in two orders of their threads
CUDA = ["cuda-0", "cuda-1"] if harness.ENABLED else []


@pytest.fixture(params=[*LEVELS, *CUDA])
def simd(request):
    """Run the test at every SIMD level that this processor has, and with the CUDA kernels."""
    cuda = request.param in CUDA
    with harness.kernels(seed=CUDA.index(request.param)) if cuda else at_level(request.param):
        yield request.param


@pytest.fixture(params=["cpu", *CUDA])
def backend(request):
    """Run the test with the CPU's kernels and with the CUDA kernels, where all SIMD levels are the same code."""
    if request.param == "cpu":
        yield request.param
        return
    with harness.kernels(seed=CUDA.index(request.param)):
        yield request.param
