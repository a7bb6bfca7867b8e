"""What is installed without any extra: it works, imports nothing before its use, and says which extra is missing."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import latentcore
from children import run_child
from latentcore import _extras

ROOT = Path(__file__).parent.parent
ROOMS = {
    *("data", "evaluate", "metrics", "mixture", "models", "ops"),
    *("plots", "reference", "report", "systems", "testing", "training"),
}
RUNS = {"train", "resume", "load_run", "evaluate_run", "write_report"}
LATE = {"h5py", "sklearn", "pandas", "scipy", *(module for modules in _extras.MODULES.values() for module in modules)}

# a process that finds no optional library, as if none were installed
LIGHT = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from importlib.machinery import PathFinder

class Light(PathFinder):
    @classmethod
    def find_spec(cls, name, *others):
        return None if name.partition(".")[0] in ABSENT else super().find_spec(name, *others)

sys.meta_path[sys.meta_path.index(PathFinder)] = Light
"""


def light(code, *arguments):
    """What a light process prints at last, as JSON."""
    absent = [module for modules in _extras.MODULES.values() for module in modules]
    child = run_child([sys.executable, "-c", f"ABSENT = {absent}\n{LIGHT}\n{code}", *map(str, arguments)])
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


def test_import_is_fast_and_imports_nothing():
    code = """
import sys, time
before, began = set(sys.modules), time.process_time()
import latentcore
seconds = time.process_time() - began
print(seconds, *sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
"""
    found = [run_child([sys.executable, "-c", code]).stdout.split() for _ in range(5)]
    assert [others for _, *others in found] == 5 * [["latentcore"]]
    assert min(float(seconds) for seconds, *_ in found) < 0.25


def test_nothing_is_imported_before_its_use(tmp_path):
    code = f"""
import sys
import torch
import latentcore

def late():
    return {LATE!r} & set(sys.modules)

for name in {sorted(ROOMS)!r}:
    getattr(latentcore, name)
images = torch.rand(2, 1, 8, 8)
latentcore.ops.rotate(images, 30.0)
latentcore.reference.warp
latentcore.metrics.mse(images, images)
latentcore.models.VAE
latentcore.data.transformed(images, torch.zeros(2, 4) + 1)
latentcore.data.save_images({str(tmp_path / "a.npz")!r}, latentcore.data.ImageSet(images))
latentcore.data.load_images({str(tmp_path / "a.npz")!r})
latentcore.evaluate.elbo
assert not late(), late()
latentcore.GaussianMixture(2, random_state=0).fit(torch.randn(50, 2))
assert "sklearn" in late()
assert "h5py" not in late()
"""
    done = run_child([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr


WORK = """
import h5py, numpy as np, torch
import latentcore
from latentcore.cli import main

random = np.random.default_rng(0)
X = np.concatenate([random.normal(size=(200, 2)), random.normal(size=(200, 2)) + 5])
with h5py.File(sys.argv[1] + "/X.h5", "w") as file:
    file["X"] = X
with h5py.File(sys.argv[1] + "/X.h5") as file:
    streamed = latentcore.GaussianMixture(2, random_state=0, verbose=1).fit(file["X"])
plain = latentcore.GaussianMixture(2, random_state=0).fit(X)
latentcore.mixture.save_mixture(sys.argv[1] + "/mixture.pt", plain)
again = latentcore.mixture.load_mixture(sys.argv[1] + "/mixture.pt")
latentcore.mixture.sweep(X, [1, 2])
turned = latentcore.data.TransformedImages(torch.rand(3, 1, 8, 8))
said = io.StringIO()
with redirect_stdout(said):
    codes = [main(words) for words in (["info"], ["--version"], ["data", "sets"], ["config", "gan"])]
print(json.dumps({
    "same": bool(np.allclose(streamed.means_, plain.means_) and np.array_equal(again.predict(X), plain.predict(X))),
    "accuracy": latentcore.metrics.classification_report([0, 1], [0, 1]).accuracy,
    "auc": latentcore.metrics.roc_auc([0, 1], [0.1, 0.9]),
    "items": len(turned),
    "codes": codes,
    "said": said.getvalue(),
    "absent": sorted(set(ABSENT) & set(sys.modules)),
}))
"""


def test_operators_mixtures_and_figures_work_without_extras(tmp_path):
    found = light(WORK, tmp_path)
    assert found["same"]
    assert (found["accuracy"], found["auc"]) == (1, 1)
    assert found["items"] == 3
    assert found["codes"] == [0, 0, 0, 0]
    assert "SIMD level" in found["said"]
    assert not found["absent"]


IN_PYTHON = {
    "latentcore.train('autoencoder', 'nowhere')": "train",
    "latentcore.resume('nowhere')": "train",
    "latentcore.load_run('run')": "train",
    "latentcore.evaluate_run('run')": "train",
    "latentcore.training.fit": "train",
    "latentcore.plots.loss_curves": "train",
    "latentcore.plots.tsne": "train",
    "latentcore.data.read_image('a.png', (1, 8, 8))": "train",
    "latentcore.data.TransformedImages('folder')": "train",
    "latentcore.report.write_report(['run'], 'a.html')": "report",
}
ON_THE_COMMAND_LINE = {
    "train autoencoder nowhere": "train",
    "evaluate run": "train",
    "compare run run --out there": "train",
    "data inspect nowhere.h5": "train",
    "report run": "report",
    "demo": "report",
}
ASKED = """
import latentcore
from latentcore.cli import main

found = {}
for expression in json.loads(sys.argv[1]):
    try:
        eval(expression)
    except ModuleNotFoundError as error:
        found[expression] = str(error)
for words in json.loads(sys.argv[2]):
    with redirect_stderr(io.StringIO()) as said:
        assert main(words.split()) == 1, words
    found[words] = said.getvalue()
print(json.dumps(found))
"""


def test_a_missing_extra_is_one_line_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"system": "autoencoder"}')
    monkeypatch.chdir(tmp_path)
    found = light(ASKED, json.dumps(list(IN_PYTHON)), json.dumps(list(ON_THE_COMMAND_LINE)))
    for asked, extra in {**IN_PYTHON, **ON_THE_COMMAND_LINE}.items():
        module = "|".join(_extras.MODULES[extra])
        words = rf"(error: )?({module}): expected the extra \[{extra}\], which pip install 'latentcore\[{extra}\]' "
        assert re.fullmatch(words + r"installs, got none\n?", found[asked]), found[asked]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_help_needs_no_extra():
    code = """
from latentcore.cli import main
for words in ([], ["train"], ["train", "gan"], ["evaluate"], ["report"], ["demo"], ["compare"]):
    try:
        main([*words, "--help"])
    except SystemExit as stopped:
        assert not stopped.code, words
print("true")
"""
    assert light(code)


def fail(error):
    raise error


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'else'", name="else"),
        ModuleNotFoundError("No module named 'matplotlib._path'", name="matplotlib._path"),
        ImportError("cannot import name 'a' from 'matplotlib'", name="matplotlib"),
    ],
    ids=str,
)
def test_a_broken_import_stays_itself(error):
    with pytest.raises(ImportError) as raised, _extras.named():
        fail(error)
    assert raised.value is error


def test_what_is_installed_is_not_missed():
    _extras.need(*_extras.MODULES)


def test_extras_bring_the_modules_that_are_asked_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {name_of(words) for words in project["dependencies"]} == {"torch", "numpy", "h5py", "scikit-learn"}
    brought = packages_distributions()
    for extra, modules in _extras.MODULES.items():
        listed = {name_of(words) for words in project["optional-dependencies"][extra]} - {"latentcore"}
        assert {plain(brought[module][0]) for module in modules} == listed


def test_all_is_all():
    def of(extra):
        done = subprocess.run(
            [sys.executable, ROOT / "cmake" / "extra.py", extra], capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    assert of("all") == of("train") | of("report") | of("tsne")
    assert of("train") <= of("report")
    assert of("all") <= of("test")


def name_of(requirement):
    return plain(re.match(r"[\w.-]+", requirement)[0])


def plain(name):
    return name.lower().replace("_", "-")


def test_all_operators_and_rooms_are_at_hand_and_nothing_else():
    table = (ROOT / "README.md").read_text().partition("| operator |")[2].partition("\n\n")[0]
    first = [line.split("|")[1] for line in table.splitlines()[2:]]
    operators = {name for words in first for name in re.findall(r"`(\w+)`", words)}
    assert len(operators) >= 13
    names = set(dir(latentcore))
    assert names == {*operators, *ROOMS, "GaussianMixture", "__version__", *RUNS}
    for name in operators:
        assert getattr(latentcore, name) is getattr(latentcore.ops, name)
        assert callable(getattr(latentcore, name))


@pytest.mark.parametrize("room", sorted(ROOMS - {"systems", "testing"}))
def test_whatever_a_room_lists_is_there(room):
    found = getattr(latentcore, room)
    assert {name for name in found.__all__ if not hasattr(found, name)} == set()


def test_all_names_are_there_without_the_extras():
    words = "from latentcore import *; import inspect, latentcore; inspect.getmembers(latentcore); write_report, train"
    assert light(f"{words}; print('[]')") == []
