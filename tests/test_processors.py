"""Networks and trainings as other processors compute them: torch and oneDNN choose their code by instruction set."""

import os
import sys
from pathlib import Path

import pytest
import torch

from children import run_child

TESTS = Path(__file__).parent
# `make test-avx2` sets those of the first, too
PROCESSORS = {
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "LATENTCORE_SIMD": "avx2"},
    "SSE41": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "LATENTCORE_SIMD": "baseline"},
}
# what a training keeps in Python is no matter of the processor
TRAIN = sorted(
    str(path.relative_to(TESTS))
    for room in ("training", "systems")
    for path in TESTS.glob(f"{room}/test_*.py")
    if path.stem != "test_steps_in_python"
)
# each takes a minute, which a busy machine makes many
PARTS = {"models": ["models", "evaluate"], **{f"trainings {part}": TRAIN[part::6] for part in range(6)}}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_networks_and_trainings_on_another_processor(processor, part):
    """In a process of its own: what goes wrong there may end it, or never end."""
    if torch.backends.cpu.get_cpu_capability() == processor:
        pytest.skip(f"all tests run as on a processor with {processor}")
    assert PARTS[part], "without names pytest would run everything"
    words = ["-n", "0", "-q", "-p", "no:cacheprovider", "--timeout=180", *PARTS[part]]
    # threads that wait for work sleep: awake, they take the cores from the other workers' threads, fivefold slower
    environment = {**os.environ, **PROCESSORS[processor], "OMP_WAIT_POLICY": "passive"}
    # which are this process's own; more threads than one meet faults that one does not
    for name in ("PYTEST_XDIST_WORKER", "TORCHINDUCTOR_CACHE_DIR", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    done = run_child([sys.executable, "-m", "pytest", *words], cwd=TESTS, env=environment, limit=580)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.parametrize(("processor", "capability"), [("AVX2", "AVX2"), ("SSE41", "DEFAULT")])
def test_another_processor_is_really_another(processor, capability):
    code = "import torch; from latentcore import _C; print(torch.backends.cpu.get_cpu_capability(), _C.simd_level())\n"
    code += "torch.nn.functional.conv2d(torch.rand(8, 8, 9, 9), torch.rand(8, 8, 3, 3), stride=2)"
    environment = {**os.environ, **PROCESSORS[processor], "ONEDNN_VERBOSE": "1"}
    done = run_child([sys.executable, "-c", code], env=environment)
    assert done.returncode == 0, done.stderr
    assert f"{capability} {PROCESSORS[processor]['LATENTCORE_SIMD']}" in done.stdout
    kernels = [line for line in done.stdout.splitlines() if "exec,cpu,convolution" in line]
    assert kernels
    assert not [line for line in kernels if "avx512" in line or (processor == "SSE41" and "avx" in line)]
