"""What a run's data were and which of them it has not learned from: `held_out.json` in its folder.

The draw of what is held out depends on how many data there are and in which order. A run writes down what it has drawn,
so that nothing that comes later, goes, or moves makes it judge itself by what it has learned.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentcore import _errors
from latentcore._files import inside, read_json, write_json
from latentcore.data.arrays import ImageSet


def record_path(folder: Path) -> Path:
    """Where a run folder keeps it."""
    return folder / "held_out.json"


def write_record(folder: Path, record: Mapping[str, Any] | None) -> None:
    """Write what is held out into a run's folder, where the one who trains says it."""
    if record is not None:
        write_json(record_path(folder), record)


def read_record(folder: Path) -> dict[str, Any] | None:
    """What `write_record` wrote; None of a run that has no such file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON, or not an object.
    """
    path = record_path(folder)
    return read_json(inside(folder, path)) if path.exists() else None


def describe(images: ImageSet) -> dict[str, Any]:
    """Number, shape and dtype of images, and a hash of them and their labels.

    Example:
        >>> import torch
        >>> from latentcore.data.arrays import ImageSet
        >>> found = describe(ImageSet(torch.zeros(3, 1, 4, 4, dtype=torch.uint8)))
        >>> found["images"], found["shape"], found["dtype"]
        (3, [1, 4, 4], 'uint8')
    """
    digest = hashlib.sha256()
    for tensor in (images.images, images.labels):
        if tensor is not None:
            digest.update(tensor.contiguous().numpy().data)
    shape, dtype = list(images.images.shape[1:]), str(images.images.dtype).removeprefix("torch.")
    return {"images": len(images), "shape": shape, "dtype": dtype, "sha256": digest.hexdigest()}


def check_unchanged(
    name: str, folder: Path, expected: Mapping[str, Any], found: Mapping[str, Any], remedy: str = ""
) -> None:
    """Data are those that the run in `folder` has written down; otherwise one ValueError says what has changed.

    `remedy` stands at its end.
    """
    end = f"; {remedy}" if remedy else ""
    wanted = f"the {_words(expected)} with which {folder} began"
    if _words(expected) != _words(found):
        _errors.fail_value(name, wanted, f"{_words(found)}{end}")
    if expected.get("sha256") != found["sha256"]:
        _errors.fail_value(name, wanted, f"as many that are others, or in another order{end}")


def _words(described: Mapping[str, Any]) -> str:
    return f"{described.get('images')} {described.get('dtype')} images of shape {described.get('shape')}"
