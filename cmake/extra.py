"""Print the requirements of one extra of pyproject.toml, so that they can be installed without building the package."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
print(*(requirement.replace(" ", "") for requirement in project["optional-dependencies"][sys.argv[1]]))
