"""Check that the named native libraries of the installed latentcore, and no others, load with every symbol found.

usage: abi_check.py cpu|cuda...
"""

import os
import subprocess
import sys

from latentcore import _native


def missing_symbols(path: str) -> list[str]:
    """The dynamic linker's complaints about this library; those about others are not ours."""
    environment = {**os.environ, "LC_ALL": "C"}
    found = subprocess.run(["ldd", "-r", path], capture_output=True, text=True, check=True, env=environment)
    lines = (found.stdout + found.stderr).splitlines()
    return [line.strip() for line in lines if "undefined symbol" in line and path in line]


def main(*expected: str) -> int:
    errors = []
    # torch.ops.load_library binds every symbol at once (RTLD_NOW), so that a loaded library lacks none
    for name, library in (("cpu", _native.cpu_library), ("cuda", _native.cuda_library)):
        print(f"{library.name}: {library}")
        if library.loaded != (name in expected):
            errors.append(f"{library.name}: expected {'' if name in expected else 'not '}to be loaded")
        elif library.loaded:
            errors += missing_symbols(str(library.path))
    for error in errors:
        print(f"error: {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
