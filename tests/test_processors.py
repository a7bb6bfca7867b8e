"""Networks and trainings as other processors compute them: torch and oneDNN choose their code by instruction set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).parent
PROCESSORS = {
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "LATENTCORE_SIMD": "avx2"},
    "SSE41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "LATENTCORE_SIMD": "baseline"},
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_networks_and_trainings_on_another_processor(processor):
    """In a process of its own: what goes wrong there may end it, or never end."""
    if torch.backends.cpu.get_cpu_capability() == processor:
        pytest.skip(f"all tests run as on a processor with {processor}")
    words = ["-n", "0", "-q", "-p", "no:cacheprovider", "--timeout=60", "models", "train", "evaluate"]
    environment = {**os.environ, **PROCESSORS[processor], "PYTHONPATH": str(TESTS.parent)}
    for name in ("PYTEST_XDIST_WORKER", "TORCHINDUCTOR_CACHE_DIR"):  # which are this process's own
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=TESTS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=590,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.parametrize(("processor", "capability"), [("AVX2", "AVX2"), ("SSE41", "DEFAULT")])
def test_another_processor_is_really_another(processor, capability):
    code = "import torch; from latentcore import _C; print(torch.backends.cpu.get_cpu_capability(), _C.simd_level())\n"
    code += "torch.nn.functional.conv2d(torch.rand(8, 8, 9, 9), torch.rand(8, 8, 3, 3), stride=2)"
    environment = {**os.environ, **PROCESSORS[processor], "ONEDNN_VERBOSE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"{capability} {PROCESSORS[processor]['LATENTCORE_SIMD']}" in done.stdout
    kernels = [line for line in done.stdout.splitlines() if "exec,cpu,convolution" in line]
    assert kernels
    assert not [line for line in kernels if "avx512" in line or (processor == "SSE41" and "avx" in line)]
