"""Print the requirements of one extra of pyproject.toml, so that they can be installed without building the package."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]


def requirements(extra: str) -> Iterator[str]:
    for requirement in project["optional-dependencies"][extra]:
        if own := re.fullmatch(rf"{project['name']}\[(.+)\]", requirement):
            for other in own[1].split(","):
                yield from requirements(other)
        else:
            yield requirement.replace(" ", "")


print(*dict.fromkeys(requirements(sys.argv[1])))
