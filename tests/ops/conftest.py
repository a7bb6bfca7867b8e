import harness
import pytest

from latentcore import _C


@pytest.fixture(params=[*_C.simd_levels(), *(f"cuda-{seed}" for seed in range(2))])
def simd(request):
    """Run the test at every SIMD level of this processor, and with the CUDA kernels, in two orders of their threads."""
    if request.param.startswith("cuda-"):
        harness.seed(int(request.param.removeprefix("cuda-")))
        with harness.kernels():
            yield request.param
        return
    before = _C.simd_level()
    _C.set_simd_level(request.param)
    yield request.param
    _C.set_simd_level(before)
