"""Two processes of torchrun train a VAE and then what turns its latents, as one process does."""

import csv
import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from rotations import FROZEN, bars, trained

from children import run_child
from latentcore import load_run

DOUBLE = {"precision": "64-true", "batch_size": 40}
CONFIG = dataclasses.replace(
    FROZEN,
    vae=dataclasses.replace(FROZEN.vae, network=dataclasses.replace(FROZEN.vae.network, normalisation="none")),
    train=dataclasses.replace(FROZEN.train, epochs=2, validation=0.2, **DOUBLE),
    vae_train=dataclasses.replace(FROZEN.vae_train, epochs=2, early_stop=5, **DOUBLE),
)
SCRIPT = """
import os, sys
sys.path[:0] = [sys.argv[2], os.path.dirname(sys.argv[2])]
import test_rotation_processes as here
here.trained(here.bars(), here.CONFIG, sys.argv[1])
"""


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.long
def test_the_losses_are_those_of_one_process(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    words = [str(tmp_path / "script.py"), str(tmp_path / "together"), str(Path(__file__).parent)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run_child([*command, *words])
    assert done.returncode == 0, done.stderr[-3000:]
    trained(bars(), CONFIG, tmp_path / "alone")
    alone, together = (load_run(tmp_path / name) for name in ("alone", "together"))
    for part in (".", "vae"):
        one, two = rows(alone.folder / part), rows(together.folder / part)
        assert len(one) == len(two) == 2
        for term in ("loss", "validation_loss"):
            assert [row[term] for row in two] == pytest.approx([row[term] for row in one], rel=1e-5)
    for name, value in torch.load(together.folder / "vae/checkpoints/model.pth", weights_only=True).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value.float(), together.model.state_dict()[name].float()), name
    assert together.metrics["seconds"] > 0


def test_both_trainings_choose_their_best_weights_by_the_same_images(tmp_path):
    run = trained(bars(), CONFIG, tmp_path / "run")
    for folder in (run.folder, run.folder / "vae"):
        assert all(row["validation_loss"] > 0 for row in rows(folder))
