"""Damaged files through everything that reads them; in a process of its own, since what goes wrong may end it.

python -m tests.damaged KIND FOLDER COUNT [SEED]
"""

import importlib
import sys
import warnings
from pathlib import Path
from random import Random

from latentcore.testing import peak_memory_mb


def run(kind, folder, count, seed=0):
    """Print the number of each file before it is read; in the end by how many MB the process has grown, how many
    readings were refused, and which ended otherwise than by an error that names a file.

    Args:
        kind: A module beside this one. It has ``whole_files(folder)``, which writes files and gives the names of those
            that are damaged in turn; ``damage(path, random)``; ``readers(name, number)``, what reads such a file, by
            name.
        folder: Where the files are written, an empty one.
        count: How many damaged files.
        seed: Any int; the file of a number is the same in every run of this seed.
    """
    warnings.simplefilter("ignore")
    module = importlib.import_module(f"tests.damaged.{kind}")
    whole = {name: (folder / name).read_bytes() for name in module.whole_files(folder)}
    refused, wrong, before = 0, [], peak_memory_mb()
    for number in range(count):
        print(number, flush=True)
        name = list(whole)[number % len(whole)]
        module.damage(folder / name, Random(f"{seed}, {number}"))
        for reader, read in module.readers(name, number).items():
            error = raised(read, folder / name)
            refused += error is not None
            if error is not None and not (isinstance(error, ValueError | OSError) and str(folder) in str(error)):
                wrong.append((number, name, reader, error))
        restore(folder / name, whole[name])
    print(round(peak_memory_mb() - before), refused, wrong)


def raised(read, path):
    try:
        read(path)
    except Exception as error:
        return error
    return None


def restore(path, content):
    """The file is whole again, whatever has taken its place."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    kind, folder, *numbers = sys.argv[1:]
    run(kind, Path(folder), *map(int, numbers))
