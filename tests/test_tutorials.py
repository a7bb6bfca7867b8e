"""The commands and the code of docs/tutorials run, one after the other, in a folder with a few thousand digits."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted(
    path for path in (Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md") if path.name != "README.md"
)
# what is for reading only, such as a download, is marked as `console`
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNERS = {"sh": ["sh", "-e", "-c"], "python": [sys.executable, "-W", "error", "-c"]}


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(tutorial, tmp_path, mnist_folder):
    shutil.copytree(mnist_folder, tmp_path / "mnist")
    # the command of the environment that runs the tests
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    blocks = BLOCK.findall(tutorial.read_text())
    for language, code in blocks:
        done = subprocess.run(
            [*RUNNERS[language], code], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    assert "latentcore report" in tutorial.read_text()
    assert len(list(tmp_path.glob("*.html"))) == 1


def test_all_tutorials_are_named_in_the_list():
    listed = (TUTORIALS[0].parent / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in TUTORIALS)
