"""What docs/adding-a-system.md and docs/adding-a-data-set.md say, done to a copy of the package."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from children import run_child
from latentcore import _C

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "latentcore"
FILE = re.compile(r"^`([\w/.]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"in `_OWN` of\n?\s?`([\w/.]+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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


def followed(page, place):
    """Do to the copy what a page says; the commands that it goes on with."""
    text = (ROOT / "docs" / page).read_text()
    files, lines = FILE.findall(text), LINE.findall(text)
    assert files
    for name, content in files:
        (place / "latentcore" / name).parent.mkdir(exist_ok=True)
        (place / "latentcore" / name).write_text(content)
    ((name, line),) = lines
    catalogue = place / "latentcore" / name
    before = catalogue.read_text()
    catalogue.write_text(before.replace("_OWN = {\n", f"_OWN = {{\n{line}"))
    assert catalogue.read_text() != before
    assert len(line.splitlines()) == 1
    return [shlex.split(command)[1:] for block in SHELL.findall(text) for command in block.splitlines()]


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("adding-a-system.md", ("linear ", "mse", "linear.html: 1 run")),
        ("adding-a-data-set.md", ("330 images of a bright stripe", "test_images")),
    ],
)
def test_a_page_is_followed(page, printed, copy, tmp_path):
    code = BEGIN.format(place=str(copy), commands=followed(page, copy))
    (tmp_path / "work").mkdir()
    done = run_child([sys.executable, "-W", "error", "-c", code], cwd=tmp_path / "work")
    assert done.returncode == 0, done.stderr[-3000:]
    for words in printed:
        assert words in done.stdout
