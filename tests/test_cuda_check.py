"""The check that reads the compiler's resource lines must fail where a kernel spills or the kept table is stale."""

import sys
from pathlib import Path

import pytest

from children import run_child

SCRIPT = Path(__file__).parent.parent / "cmake" / "cuda_check.py"
NAME = (
    "_ZN10latentcore55_GLOBAL__N__00b6abac_17_reparameterize_cu_a2795730_761221reparameterize_kernelILi4EfEEvPKT0_"
    "S4_PKlmllPS2_PNS_7computeIS2_E4typeE"
)
LOG = """\
ptxas info    : Compiling entry function '{name}' for '{arch}'
ptxas info    : Function properties for {name}
    {stack} bytes stack frame, {spill} bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 400 bytes smem
"""


CALLED = """\
ptxas info    : Function properties for _Z1fd
    {stack} bytes stack frame, {spill} bytes spill stores, 0 bytes spill loads
"""


def log(name=NAME, arch="sm_90", stack=0, spill=0):
    return LOG.format(name=name, arch=arch, stack=stack, spill=spill)


def run(folder, mode, text, allowed="", version="13.0.88"):
    (folder / "log").write_text(text)
    (folder / "allowed").write_text(allowed)
    paths = [str(folder / name) for name in ("log", "allowed", "table.md")]
    command = [sys.executable, str(SCRIPT), mode, *paths, version]
    return run_child(command)


def rows(folder):
    return [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]


@pytest.fixture
def kept(tmp_path):
    """A folder with the table of one kernel on two architectures."""
    assert run(tmp_path, "matrix", log(arch="sm_100") + log()).returncode == 0
    return tmp_path


def test_the_table_has_a_row_per_kernel_and_a_column_per_architecture(kept):
    assert rows(kept) == [
        "| kernel | sm_90 | sm_100 |",
        "| --- | --- | --- |",
        "| `reparameterize_kernel<4, float>` | 40 / 400 / 0 / 0 | 40 / 400 / 0 / 0 |",
    ]
    assert "nvcc 13.0.88" in (kept / "table.md").read_text()


def test_the_table_does_not_depend_on_the_order_of_the_log(kept):
    before = rows(kept)
    run(kept, "matrix", log() + log(arch="sm_100"))
    assert rows(kept) == before


def test_a_kernel_that_one_architecture_lacks_leaves_its_cell_empty(tmp_path):
    run(tmp_path, "matrix", log() + log(name="_Z5otherd", arch="sm_100"))
    assert rows(tmp_path)[2:] == [
        "| `other` |  | 40 / 400 / 0 / 0 |",
        "| `reparameterize_kernel<4, float>` | 40 / 400 / 0 / 0 |  |",
    ]


def test_prints_the_resources_of_each_kernel(kept):
    result = run(kept, "check", log())
    assert result.returncode == 0
    assert result.stdout.splitlines()[1].split() == [
        "reparameterize_kernel<4,",
        "float>",
        "sm_90",
        "40",
        "400",
        "0",
        "0",
    ]


@pytest.mark.parametrize(
    "text",
    [log(stack=8), log().replace("40 registers", "41 registers"), log() + log(name="_Z5otherd"), log(name="_Z5otherd")],
    ids=["stack", "registers", "new", "renamed"],
)
def test_a_table_that_is_not_what_was_compiled_is_an_error(kept, text):
    result = run(kept, "check", text)
    assert result.returncode == 1
    assert "run `make cuda-matrix`" in result.stdout


def test_a_missing_table_is_an_error(tmp_path):
    assert run(tmp_path, "check", log()).returncode == 1


@pytest.mark.parametrize(("text", "code"), [(log(stack=8), 0), (log(name="_Z5otherd"), 1)], ids=["stack", "renamed"])
def test_beside_the_table_of_another_compiler_only_names_count(kept, text, code):
    result = run(kept, "check", text, version="12.9.1")
    assert result.returncode == code
    assert "13.0.88, this is 12.9.1" in result.stdout


@pytest.mark.parametrize(
    "text", [log(stack=8, spill=8), log() + CALLED.format(stack=8, spill=8)], ids=["own", "called"]
)
@pytest.mark.parametrize(
    ("allowed", "code"),
    [
        ("", 1),
        ("other<1>: why\n", 1),
        ("reparameterize_kernel<4, float>: rare path\n", 0),
        ("reparameterize_kernel<*, float>: rare path\n", 0),
        ("reparameterize_kernel<*, double>: rare path\n", 1),
    ],
)
def test_a_spill_needs_a_reason(tmp_path, text, allowed, code):
    assert run(tmp_path, "matrix", text, allowed).returncode == code
    assert run(tmp_path, "check", text, allowed).returncode == code


def test_a_called_function_does_not_hide_what_the_kernel_spills(tmp_path):
    assert run(tmp_path, "matrix", log(stack=8, spill=8) + CALLED.format(stack=0, spill=0)).returncode == 1


def test_template_arguments_of_any_kind_stay_in_the_name(tmp_path):
    # kern<Kind::b, true, -3>(double*, int), as c++filt writes it
    run(tmp_path, "matrix", log(name="_Z4kernIL4Kind1ELb1ELin3EEvPdi"))
    assert rows(tmp_path)[2].startswith("| `kern<1, true, -3>` |")


def test_two_kernels_of_one_name_are_an_error(tmp_path):
    result = run(tmp_path, "matrix", log() + log())
    assert result.returncode == 1
    assert "cannot tell apart" in result.stdout


def test_a_log_without_kernels_is_an_error(tmp_path):
    assert run(tmp_path, "check", "nothing\n").returncode == 1
