"""The scripts in docs/examples run without a warning and say something."""

import runpy
import sys
from pathlib import Path

import pytest

from children import run_child

SCRIPTS = sorted((Path(__file__).parents[1] / "docs" / "examples").glob("*.py"))
# what makes a script short; the others run as they are
ARGUMENTS = {
    "few_labels.py": ["--labels", "5"],
    "mixture_prior.py": ["--epochs", "2", "--out", "pictures"],
    "model_selection.py": ["--out", "pictures"],
    "streaming.py": ["--samples", "20000"],
}
# a process for each, as it needs others or to see one start by itself
PROCESSES = {
    "streaming.py": [],
    "distributed.py": ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_an_example_runs(script, tmp_path, monkeypatch, capsys):
    arguments = ARGUMENTS.get(script.name, [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()
    if "--out" in arguments:
        assert list(tmp_path.glob("pictures/*.png"))


@pytest.mark.long
@pytest.mark.parametrize("name", PROCESSES)
def test_an_example_runs_as_processes(name, tmp_path):
    (script,) = (script for script in SCRIPTS if script.name == name)
    command = [sys.executable, "-W", "error", *PROCESSES[name], str(script), *ARGUMENTS.get(name, [])]
    done = run_child(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
