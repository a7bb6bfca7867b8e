"""The check that reads the compiler's resource lines must fail where a kernel spills."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "cmake" / "cuda_check.py"
NAME = (
    "_ZN10latentcore55_GLOBAL__N__00b6abac_17_reparameterize_cu_a2795730_761221reparameterize_kernelILi4EfEEvPKT0_"
    "S4_PKlmllPS2_PNS_7computeIS2_E4typeE"
)
LOG = """\
ptxas info    : Compiling entry function '{name}' for 'sm_90'
ptxas info    : Function properties for {name}
    {stack} bytes stack frame, {spill} bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 400 bytes smem
"""


def run(tmp_path, log, allowed):
    (tmp_path / "log").write_text(log)
    (tmp_path / "allowed").write_text(allowed)
    command = [sys.executable, str(SCRIPT), str(tmp_path / "log"), str(tmp_path / "allowed")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_prints_the_resources_of_each_kernel(tmp_path):
    result = run(tmp_path, LOG.format(name=NAME, stack=0, spill=0), "")
    assert result.returncode == 0
    assert result.stdout.splitlines()[1].split() == [
        *["reparameterize_kernel<4,", "float>"],
        "sm_90",
        "40",
        "400",
        "0",
        "0",
    ]


@pytest.mark.parametrize(
    ("allowed", "code"), [("", 1), ("other<1>: why\n", 1), ("reparameterize_kernel<4, float>: rare path\n", 0)]
)
def test_a_spill_needs_a_reason(tmp_path, allowed, code):
    assert run(tmp_path, LOG.format(name=NAME, stack=8, spill=8), allowed).returncode == code


def test_a_log_without_kernels_is_an_error(tmp_path):
    assert run(tmp_path, "nothing\n", "").returncode == 1
