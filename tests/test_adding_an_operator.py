"""What docs/adding-an-op.md says, done to a copy of the sources: they are built, and the operator's tests pass."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from children import run_child
from recipes import DOCS, Recipe

PAGE = "adding-an-op.md"
ROOT = DOCS.parent
SOURCES = ["CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"]
FOLDERS = ["benchmarks", "cmake", "csrc", "docs", "python", "tests"]
BIN = Path(sys.executable).parent
# what is built is imported, whatever way the package was installed
PYTEST = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
sys.path.insert(0, {place!r})
import latentcore, pytest
from latentcore import _native
assert str(_native.cpu_library.path).startswith({place!r}), _native.cpu_library
sys.exit(pytest.main(sys.argv[1:]))
"""
TESTS = [
    "tests/ops/test_squared_norm.py",
    "tests/ops/test_no_gradient.py",
    # there is one where the operator has a CUDA kernel
    "tests/cuda_host/test_harness.py::test_an_operator_has_the_same_schema_as_latentcore_has[squared_norm]",
]
TABLE = re.compile(r"^\| `([\w/.-]+)` \|", re.MULTILINE)


@pytest.fixture
def tree(tmp_path):
    """A copy of the sources, in which the page was followed."""
    tree = tmp_path / "tree"
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in SOURCES:
        shutil.copy(ROOT / name, tree)
    touched = Recipe(PAGE).follow(tree)
    named = TABLE.findall((DOCS / PAGE).read_text())
    assert {*named} == {*touched, "docs/cuda-resources.md"}
    assert len(named) <= 12
    return tree


def done_in(tree, *command, **environment):
    """What a command prints, which must succeed."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = run_child(
        [str(word) for word in command], cwd=tree, limit=500, env={**os.environ, "PATH": path, **environment}
    )
    assert done.returncode == 0, f"{done.stdout[-5000:]}{done.stderr[-5000:]}"
    return done.stdout


def leave_no_kernels_but(tree, stem):
    """CMake finds what is there, so that it need not compile all of them."""
    for path in (tree / "csrc" / "cuda").glob("*.cu"):
        if path.stem != stem:
            path.unlink()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_page_makes_an_operator(tree, tmp_path):
    place = tmp_path / "installed"
    settings = {"LATENTCORE_CUDA": "off", "LATENTCORE_WERROR": "on"}
    flags = [f"--config-settings=cmake.define.{name}={value}" for name, value in settings.items()]
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", "--target", place]
    done_in(tree, *pip, *flags, ".")
    leave_no_kernels_but(tree, "squared_norm")
    bin_from_tree = os.path.relpath(BIN, tree)
    done_in(tree, "sh", "cmake/cuda_host.sh", "build/cuda-host", BIN=bin_from_tree)
    pytest_there = [sys.executable, "-c", PYTEST.format(place=str(place)), "-n", "0", "-p", "no:cacheprovider"]
    done_in(tree, *pytest_there, "--doctest-modules", *TESTS, place / "latentcore" / "ops" / "squared_norm.py")
    done_in(tree, *pytest_there, "benchmarks/bench_squared_norm.py", "-m", "", "-o", "python_files=bench_*.py")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc on this machine")
def test_the_page_makes_a_cuda_kernel(tree):
    leave_no_kernels_but(tree, "squared_norm")
    done_in(tree, "sh", "cmake/cuda_check.sh", "matrix", BIN=os.path.relpath(BIN, tree))
    assert "| `squared_norm_kernel<float>` |" in (tree / "docs" / "cuda-resources.md").read_text()
