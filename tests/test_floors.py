"""import-linter finds whatever breaks the floors of the house, as pyproject.toml has them, and that nothing does."""

import shutil
import sys
from pathlib import Path

import pytest

import latentcore
from children import run_child

LAZY = ["", "def planted():\n    "]
PACKAGE = Path(latentcore.__file__).parent
# an editable install finds its own files before any copy, by a finder that is no class as Python's own are
LINT = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]
sys.path.insert(0, sys.argv[1])
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=sys.argv[2], no_cache=True))
"""


@pytest.fixture
def house(tmp_path):
    """A copy of the sources."""
    folder = tmp_path / "latentcore"
    shutil.copytree(PACKAGE, folder, ignore=lambda _, names: [n for n in names if Path(n).suffix not in ("", ".py")])
    return folder


def linted(house):
    """Whether all is as it is to be, and what import-linter says."""
    config = Path(__file__).parent.parent / "pyproject.toml"
    child = run_child([sys.executable, "-c", LINT, str(house.parent), str(config)])
    return child.returncode == 0, " ".join((child.stdout + child.stderr).split())  # without its ends of lines


def plant(house, name, line):
    """Add a line to a module, or make it."""
    with (house / name).open("a") as file:
        file.write(f"\n{line}\n")


def plant_system(house):
    """A second system, like the first."""
    shutil.copytree(house / "systems" / "gan", house / "systems" / "planted")
    for file in (house / "systems" / "planted").glob("*.py"):
        file.write_text(file.read_text().replace("latentcore.systems.gan", "latentcore.systems.planted"))


def test_the_house_stands(house):
    stands, words = linted(house)
    assert stands, words
    assert "5 kept, 0 broken" in words


@pytest.mark.long
@pytest.mark.parametrize("inside", LAZY, ids=["", "in a function"])
@pytest.mark.parametrize(
    ("importer", "imported", "said"),
    [
        ("systems/gan/training.py", "systems.planted.config", "systems.gan is not allowed to import"),
        ("systems/gan/command.py", "systems", "systems.gan.command is not allowed to import"),
        ("systems/gan/run.py", "systems.gan.command", "systems.gan.run is not allowed to import"),
        ("models/vae.py", "training.config", "latentcore.models is not allowed to import latentcore.training"),
        ("training/run.py", "evaluate.latents", "latentcore.training is not allowed to import latentcore.evaluate"),
        ("data/registry.py", "systems", "latentcore.data is not allowed to import latentcore.systems"),
        ("terminal/tables.py", "ops", "latentcore.terminal is not allowed to import latentcore.ops"),
        ("_errors.py", "_files", "latentcore._errors is not allowed to import latentcore._files"),
    ],
)
def test_what_breaks_the_floors_is_found(house, importer, imported, said, inside):
    plant_system(house)
    plant(house, importer, f"{inside}import latentcore.{imported}")
    stands, words = linted(house)
    assert not stands
    assert said in words
    assert f"latentcore.{importer.removesuffix('.py').replace('/', '.')} -> latentcore.{imported} (l." in words


@pytest.mark.long
@pytest.mark.parametrize("inside", LAZY, ids=["", "in a function"])
def test_a_circle_is_found(house, inside):
    plant(house, "plots/here.py", "import latentcore.plots.there")
    plant(house, "plots/there.py", f"{inside}import latentcore.plots.here")
    stands, words = linted(house)
    assert not stands
    assert "No cycles are allowed in latentcore.plots." in words


@pytest.mark.long
@pytest.mark.parametrize("place", ["astray.py", "systems/gan/astray.py"])
def test_a_module_on_no_floor_is_found(house, place):
    plant(house, place, "")
    stands, words = linted(house)
    assert not stands
    assert "astray" in words
