"""The golden runs come to their stored figures on any processor; `python -m benchmarks.golden` compares their bits.

Largest differences seen between AVX-512 and AVX2 (ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
LATENTCORE_SIMD=avx2), and between one thread and two, after as few steps as these:

- 10 % for what goes through convolutions and batch normalisation (a GAN's Fréchet distance; 7 % the KL of
  residual-vae-32, 3 % the areas of egamma),
- 0.8 % elsewhere, most of it less than 0.01 %,
- a digit or an event more or less in what counts them: 0.02 of an area, 0.01 of an accuracy.

Tolerances are two to three times that. Left out is what one event or axis may double: rejections, active units.
"""

import json
import shutil
from pathlib import Path

import pytest
from benchmarks.golden.child import prepare, run
from benchmarks.golden.contents import contents
from benchmarks.golden.runs import RUNS
from benchmarks.golden.work import figures, golden

STORED = json.loads((Path(__file__).parent / "figures.json").read_text())
SYSTEMS = sorted({name.split("/")[0] for name in STORED})
# a quick one of each
QUICK = (
    "autoencoder/vae-2d",
    "classifier/upright",
    "egamma/small",
    "few-label/plain",
    "gan/sixteen-bits",
    "photographs/photographs",
    "rotation/step",
)

ROUGH = ("autoencoder/residual-vae-32", "classifier/", "egamma/", "gan/")
CLOSE, LOOSE, COUNTED = {"rel": 0.02, "abs": 0.002}, {"rel": 0.25, "abs": 0.02}, {"abs": 0.06}
COUNTS = (
    "accuracy",
    "auc",
    "coverage",
    "f1",
    "label_kept",
    "precision",
    "recall",
    "share",
    "test_accuracy",
    "test_auc",
)
LEFT_OUT = ("active_units", "rejection")


def check(name, found):
    wanted = STORED[name]
    assert found.keys() == wanted.keys()
    learned = LOOSE if name.startswith(ROUGH) else CLOSE
    for figure, value in wanted.items():
        if not figure.startswith(LEFT_OUT):
            tolerance = COUNTED if figure.startswith(COUNTS) else learned
            assert found[figure] == pytest.approx(value, **tolerance), (name, figure)


@pytest.mark.parametrize("name", QUICK)
def test_a_run_of_each_system_comes_to_its_figures(once, tmp_path, monkeypatch, name):
    def make(folder):
        monkeypatch.chdir(folder)
        assert prepare() == 0

    shutil.copytree(once("golden-data", make), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert run(RUNS[name]) == 0
    entries = {f"run/{key}": word for key, word in contents(Path("runs", name)).items()}
    check(name, figures({name: entries})[name])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("system", SYSTEMS)
def test_all_runs_come_to_their_figures(tmp_path, system):
    names = [name for name in STORED if name.startswith(f"{system}/")]
    for name, found in figures(golden(names, tmp_path, jobs=1)).items():
        check(name, found)


def test_every_run_has_its_figures():
    assert STORED.keys() == {name for name in RUNS if not name.startswith("commands/")}
