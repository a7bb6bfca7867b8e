"""The scripts in docs/examples run without a warning and say something."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "docs" / "examples").glob("*.py"))
# what makes a script short; the others run as they are
ARGUMENTS = {
    "few_labels.py": ["--labels", "5"],
    "mixture_prior.py": ["--epochs", "2", "--out", "pictures"],
    "model_selection.py": ["--out", "pictures"],
    "streaming.py": ["--samples", "20000"],
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_example_runs(script, tmp_path):
    arguments = ARGUMENTS.get(script.name, [])
    command = [sys.executable, "-W", "error", str(script), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "--out" in arguments:
        assert list(tmp_path.glob("pictures/*.png"))
