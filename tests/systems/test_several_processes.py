"""Two processes of torchrun train of every system what one trains."""

import csv
import sys
from pathlib import Path

import pytest
import torch
from own_models import OwnVAE
from tiny import FIELDS, configuration, data

from children import run_child
from latentcore import load_run, systems, train
from latentcore._settings import changed

# of a batch in parts each process has its share of every part
PARTS = "autoencoder in parts"
OWN = "autoencoder of somebody's own"
MIXTURE = "autoencoder with a mixture"
NAMES = [*sorted(systems.catalogue.own), PARTS, OWN, MIXTURE]
# in float64 the order of sums shows in the last digits alone; one step in each epoch makes every loss a row
TRAIN = {"epochs": 4, "batch_size": 48, "precision": "64-true", "validation": 0.25, "record": "off"}

SCRIPT = """
import sys
sys.path[:0] = sys.argv[2:]
import test_several_processes
test_several_processes.train_all(sys.argv[1])
"""


def train_all(folder):
    """What each of two processes does."""
    for name in NAMES:
        train_one(name, Path(folder), Path(folder) / name)


def train_one(name, folder, run_dir):
    system = name if name in FIELDS else "autoencoder"
    found, more = data(system, folder)
    more |= {"model": OwnVAE} if name == OWN else {}
    config = configuration(system, **TRAIN, accumulate=2 if name == PARTS else 1)
    if name == MIXTURE:
        config = changed(config, {"vae.prior.kind": "mixture"})
    return train(system, found, config=config, run_dir=run_dir, **more)


@pytest.fixture(scope="module")
def folder(once):
    """Runs that two processes have trained, by the names of their systems."""
    return once("systems-by-two", train_by_two)


def train_by_two(folder):
    data("egamma", folder)  # before both want to write it
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    (folder / "script.py").write_text(SCRIPT)
    here = Path(__file__).parent
    done = run_child([*command, str(folder / "script.py"), str(folder), str(here), str(here.parent)])
    assert done.returncode == 0, done.stderr[-3000:]


def rows(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_system_is_small_here():
    assert sorted(FIELDS) == sorted(systems.catalogue.own)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_two_processes_train_what_one_trains(folder, tmp_path, name):
    train_one(name, folder, tmp_path / "alone")
    alone, together = rows(tmp_path / "alone"), rows(folder / name)
    assert len(alone) == len(together) == TRAIN["epochs"]
    for column in alone[0]:
        if column != "seconds" and not column.endswith("_per_second"):
            expected = [float(row[column]) for row in alone]
            assert [float(row[column]) for row in together] == pytest.approx(expected, rel=1e-5, abs=1e-6), column
    one, two = (
        torch.load(run / "checkpoints" / "model.pth", weights_only=True) for run in (tmp_path / "alone", folder / name)
    )
    for key, value in one.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-6)
    model = OwnVAE if name == OWN else None
    one, two = (load_run(run, model=model).metrics for run in (tmp_path / "alone", folder / name))
    assert one.keys() == two.keys()
    assert len(list((folder / name / "tensorboard").glob("events.out.tfevents.*"))) == 1
