"""Recipes, pages of docs/ that tests follow: their files, the lines that they add to others, and their commands."""

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = r":\n\n```\w+\n(.*?)^```$"
_FILE = re.compile(r"^`([\w/.-]+)`" + _BLOCK, re.MULTILINE | re.DOTALL)
_LINES = re.compile(r"\b(?:in|[Bb]elow)\s`([^`\n]+)` of\s`([\w/.-]+)`" + _BLOCK, re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Recipe:
    """What a page says to do.

    Attributes:
        files: What new files hold, by their names: blocks after a paragraph that is a name alone.
        lines: (where, name, lines) of blocks after "in `where` of `name`" or "below `where` of `name`": lines that come
            after the first line of that file which has these words in it.
        commands: The words of each line of the blocks for a shell, without the program's name.
    """

    def __init__(self, page):
        text = (DOCS / page).read_text()
        self.files = dict(_FILE.findall(text))
        self.lines = _LINES.findall(text)
        self.commands = [shlex.split(line)[1:] for block in _SHELL.findall(text) for line in block.splitlines()]

    def follow(self, folder):
        """Write all of it into a folder, to which the names are relative; the names of what was touched."""
        assert self.files
        for name, content in self.files.items():
            path = folder / name
            assert not path.exists(), f"{name} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        for where, name, lines in self.lines:
            before, found, after = (folder / name).read_text().partition(where)
            assert found, f"{name} has no {where}"
            rest_of_line, _, after = after.partition("\n")
            (folder / name).write_text(f"{before}{where}{rest_of_line}\n{lines}{after}")
        return {*self.files, *(name for _, name, _ in self.lines)}
