"""What docs/adding-a-system.md and docs/adding-a-data-set.md say, done to a copy of the package."""

import shutil
import sys
from pathlib import Path

import pytest

from children import run_child
from latentcore import _C
from recipes import Recipe

PACKAGE = Path(__file__).parents[1] / "python" / "latentcore"
# the copy is what is imported, whatever way the package was installed
BEGIN = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
sys.path.insert(0, {place!r})
import latentcore
assert latentcore.__file__.startswith({place!r})
from latentcore.cli import main
for words in {commands!r}:
    print("$", *words, flush=True)
    assert main(words) == 0, words
"""


@pytest.fixture
def copy(tmp_path):
    """The package's files in another place."""
    place = tmp_path / "copied"
    shutil.copytree(PACKAGE, place / "latentcore", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for library in Path(_C.__file__).parent.glob("*.so"):
        shutil.copy(library, place / "latentcore")
    return place


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("adding-a-system.md", ("linear ", "mse", "linear.html: 1 run")),
        ("adding-a-data-set.md", ("330 images of a bright stripe", "test_images")),
    ],
)
def test_a_page_is_followed(page, printed, copy, tmp_path):
    recipe = Recipe(page)
    recipe.follow(copy / "latentcore")
    assert [len(lines.splitlines()) for _, _, lines in recipe.lines] == [1]
    code = BEGIN.format(place=str(copy), commands=recipe.commands)
    (tmp_path / "work").mkdir()
    done = run_child([sys.executable, "-W", "error", "-c", code], cwd=tmp_path / "work")
    assert done.returncode == 0, done.stderr[-3000:]
    for words in printed:
        assert words in done.stdout
