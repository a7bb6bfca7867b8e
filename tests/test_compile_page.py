"""The code of docs/compile.md runs, the C++ program too."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch

from children import run_child
from latentcore import _native

PAGE = (Path(__file__).parents[1] / "docs" / "compile.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.long
def test_an_exported_file_loads_after_either_import(tmp_path):
    imports = "import torch\nfrom latentcore.ops import rotate\nimages = torch.rand(32, 1, 8, 8)\n"
    (export,) = (block for block in blocks("python") if "torch.export.save" in block)
    written = imports + export
    read = "import torch\nimport latentcore{}\ntorch.export.load('score.pt2').module()"
    for code in (written, read.format(""), read.format(".ops")):
        done = run_child([sys.executable, "-c", code], cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_page_runs(tmp_path):
    (tmp_path / "page.py").write_text("\n".join(blocks("python")))
    done = run_child([sys.executable, "page.py"], cwd=tmp_path, limit=280)
    assert done.returncode == 0, done.stderr
    if shutil.which("g++") is None:
        pytest.skip("no g++ for the program in C++")
    (tmp_path / "score.cpp").write_text(*blocks("cpp"))
    home = Path(torch.__file__).parent
    paths = [f"-I{home}/include", f"-I{home}/include/torch/csrc/api/include", f"-L{home}/lib", f"-Wl,-rpath,{home}/lib"]
    libraries = ["-Wl,--no-as-needed", "-ltorch", "-ltorch_cpu", "-lc10"]
    command = ["g++", "-std=c++20", "score.cpp", *paths, *libraries, "-o", "score"]
    done = run_child(command, cwd=tmp_path, limit=200)
    assert done.returncode == 0, done.stderr
    done = run_child([tmp_path / "score", _native.cpu_library.path, tmp_path / "score_aoti.pt2"])
    assert done.returncode == 0, done.stderr
    assert "CPUFloatType{3}" in done.stdout
