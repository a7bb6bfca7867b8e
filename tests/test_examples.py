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


TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
RUNS = [pytest.param(script, [], id=script.name) for script in SCRIPTS]
RUNS += [
    pytest.param(script, TORCHRUN, id="distributed.py, torchrun") for script in SCRIPTS if "distrib" in script.name
]


@pytest.mark.parametrize(("script", "launcher"), RUNS)
def test_an_example_runs(script, launcher, tmp_path):
    arguments = ARGUMENTS.get(script.name, [])
    command = [sys.executable, "-W", "error", *launcher, str(script), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if "--out" in arguments:
        assert list(tmp_path.glob("pictures/*.png"))
