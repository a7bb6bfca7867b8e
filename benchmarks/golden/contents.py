"""What a run has left in its folders, as words that are the same where the bits are the same.

Left out are times and rates (`seconds`, `..._per_second`); what says when, where and how somebody worked
(`config.json`, `commands.json`, TensorBoard's events, paths in records of what is held out, the list of files left
out); the words about a model beside its weights (`_extra_state`); and the configuration within a checkpoint.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_WORDS = ("config", "_extra_state")  # of files of tensors
_FIGURES = ("metrics.json", "held_out.json")


def contents(folder: Path) -> dict[str, str]:
    """An entry for every tensor, figure and picture below a folder: `<file>: <name>` -> its word."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for name, word in _entries(path):
            place = str(path.relative_to(folder))
            found[f"{place}: {name}" if name else place] = word
    return found


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix == ".pth":
        yield from _named(torch.load(path, weights_only=True, map_location="cpu"))
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            yield from _named(dict(arrays))
    elif path.name in _FIGURES:
        yield from _named(json.loads(path.read_text()))
    elif path.suffix == ".csv":
        yield "", _hash(_table(path).encode())
    elif path.suffix in (".png", ".gif", ".h5"):
        yield "", _hash(path.read_bytes())


def _named(found: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """All leaves of nested dictionaries and lists; a list of plain numbers is one."""
    if isinstance(found, dict):
        for key, value in found.items():
            if str(key) not in _WORDS and not _tells_time(str(key)):
                yield from _named(value, f"{name}.{key}" if name else str(key))
    elif isinstance(found, list) and any(isinstance(value, dict | Tensor) for value in found):
        for number, value in enumerate(found):
            yield from _named(value, f"{name}.{number}")
    elif isinstance(found, Tensor | np.ndarray):
        yield name, _of_array(found)
    elif not _is_path(found):
        word = repr(found)  # which is exact, and can be read
        yield name, word if len(word) < 80 else _hash(word.encode())


def _of_array(array: Tensor | np.ndarray) -> str:
    """Kind, shape and a hash of the numbers in their order."""
    tensor = torch.as_tensor(array).contiguous()
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind}{list(tensor.shape)} {_hash(tensor.flatten().view(torch.uint8).numpy().tobytes())}"


def _table(path: Path) -> str:
    """A table without columns that tell time, and with the last names of files."""
    with path.open(newline="") as file:
        rows = [[Path(cell).name if _is_path(cell) else cell for cell in row] for row in csv.reader(file)]
    shown = [place for place, name in enumerate(rows[0]) if not _tells_time(name)]
    text = io.StringIO()
    csv.writer(text).writerows([row[place] for place in shown] for row in rows)
    return text.getvalue()


def _tells_time(name: str) -> bool:
    return name == "seconds" or name.endswith("_per_second")


def _is_path(found: object) -> bool:
    words = found if isinstance(found, list) else [found]
    return bool(words) and all(isinstance(word, str) and word.startswith("/") for word in words)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
