"""The commands and the code of docs/tutorials run, one after the other, in a folder with a few thousand digits.

They run in this process, as every start of another one would load torch anew; tests/test_cli.py has one that does.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from latentcore.cli import main

TUTORIALS = sorted(
    path for path in (Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md") if path.name != "README.md"
)
# what is for reading only, such as a download, is marked as `console`
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_shell(code):
    for line in code.splitlines():
        program, *words = shlex.split(line)
        assert program == "latentcore"
        # what a shell would do more than split is not done here
        assert not set(line) & set("|&;<>$`*?~\\")
        assert main(words) == 0, line


def run_python(code):
    exec(compile(code, "tutorial", "exec"), {"__name__": "__main__"})


RUNNERS = {"sh": run_shell, "python": run_python, "console": lambda code: None}


# the others take long
SHORT = "few-labels"
RUNS = [pytest.param(path, id=path.stem, marks=[] if path.stem == SHORT else pytest.mark.long) for path in TUTORIALS]


@pytest.mark.parametrize("tutorial", RUNS)
def test_a_tutorial_runs(tutorial, tmp_path, mnist_folder, monkeypatch):
    shutil.copytree(mnist_folder, tmp_path / "mnist")
    monkeypatch.chdir(tmp_path)
    for language, code in BLOCK.findall(tutorial.read_text()):
        RUNNERS[language](code)
    assert "latentcore report" in tutorial.read_text()
    (page,) = tmp_path.glob("*.html")
    # of photographs the page has no decoder
    assert ("<h3>Missing</h3>" in page.read_text()) == (tutorial.stem == "photographs")


def test_all_tutorials_are_named_in_the_list():
    listed = (TUTORIALS[0].parent / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in TUTORIALS)
