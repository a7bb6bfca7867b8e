"""CIFAR-10 and CIFAR-100: the files of their binary version."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from latentcore import _errors
from latentcore._files import open_regular
from latentcore.data._sizes import check_size, on_disk
from latentcore.data.arrays import ImageSet
from latentcore.data.registry import DataSet

Bytes = NDArray[np.uint8]

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_CIFAR10 = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_CIFAR100 = {"train": ("train.bin",), "test": ("test.bin",)}
_LABELS_OF_100 = ("coarse", "fine")  # in the order in which they stand in a record
_CLASSES_OF_100 = (20, 100)
_PICKLED = ("data_batch_1", "test_batch", "batches.meta", "train", "test", "meta")  # names in the Python version


def load_cifar10(path: str | os.PathLike[str], split: str) -> ImageSet:
    """Read the binary version of CIFAR-10, whose records have 3073 bytes: a label and 3 × 32 × 32 pixels.

    Args:
        path: A folder with ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, or one such file, which
            is read alone. The pickled Python version is refused and never read.
        split: ``"train"`` or ``"test"``. Of a single file under another name it says nothing.

    Returns:
        Images (N, 3, 32, 32), uint8, and labels (N,) from 0 to 9, in the order of the files.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is no regular one, is damaged, is not of the binary version, or belongs to the other split.

    Example:
        >>> from pathlib import Path
        >>> from latentcore.data import load_cifar10
        >>> _ = Path("test_batch.bin").write_bytes(bytes([7]) + bytes(3072))
        >>> load_cifar10("test_batch.bin", "test").labels
        tensor([7])

    Reference:
        Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    records = _records(Path(path), split, _CIFAR10, (10,))
    return _image_set(records, 0, 1)


def load_cifar100(path: str | os.PathLike[str], split: str, *, labels: str = "fine") -> ImageSet:
    """Read the binary version of CIFAR-100, whose records have 3074 bytes: two labels and 3 × 32 × 32 pixels.

    Args:
        path: A folder with ``train.bin`` and ``test.bin``, or one such file, which is read alone. The pickled Python
            version is refused and never read.
        split: ``"train"`` or ``"test"``. Of a single file under another name it says nothing.
        labels: "fine" for the 100 classes, "coarse" for their 20 groups.

    Returns:
        Images (N, 3, 32, 32), uint8, and labels (N,).

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is no regular one, is damaged, is not of the binary version, or belongs to the other split.

    Example:
        >>> from pathlib import Path
        >>> from latentcore.data import load_cifar100
        >>> _ = Path("test.bin").write_bytes(bytes([11, 98]) + bytes(3072))
        >>> load_cifar100("test.bin", "test").labels, load_cifar100("test.bin", "test", labels="coarse").labels
        (tensor([98]), tensor([11]))

    Reference:
        Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """
    _errors.one_of("labels", labels, _LABELS_OF_100)
    records = _records(Path(path), split, _CIFAR100, _CLASSES_OF_100)
    return _image_set(records, _LABELS_OF_100.index(labels), len(_CLASSES_OF_100))


def _records(path: Path, split: str, splits: Mapping[str, Sequence[str]], classes: Sequence[int]) -> Bytes:
    """The checked records of all files of a split, below each other; `classes` are how many each label may name."""
    _errors.one_of("split", split, tuple(splits))
    return np.concatenate([_read(file, classes) for file in _files(path, split, splits)])


def _files(path: Path, split: str, splits: Mapping[str, Sequence[str]]) -> list[Path]:
    if path.is_dir():
        return [_find(path, name) for name in splits[split]]
    other = next((of for of, names in splits.items() if path.name in names and of != split), None)
    if other is not None:
        _errors.fail_value(str(path), f"a file of split {split!r}", f"one of split {other!r}")
    return [path]


def _find(folder: Path, name: str) -> Path:
    path = folder / name
    if path.exists():
        return path
    if any((folder / pickled).is_file() for pickled in _PICKLED):
        _fail_pickled(folder)
    raise FileNotFoundError(f"{folder}: expected the file {name} of the binary version, found none")


def _read(path: Path, classes: Sequence[int]) -> Bytes:
    """The records (N, labels and pixels) of a file."""
    with open_regular(path) as file:  # a file that is missing or may not be read is an OSError with its own words
        length = os.fstat(file.fileno()).st_size
        check_size(str(path), length, on_disk(file.fileno()))
        content = file.read(length)
    size = len(classes) + _PIXELS
    if not content or len(content) % size:
        if content[:1] == b"\x80":  # as pickles begin, and no label is as high
            _fail_pickled(path)
        _errors.fail_value(str(path), f"whole records of {size} bytes, at least one", f"{len(content)} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    for column, count in enumerate(classes):
        wrong = np.flatnonzero(records[:, column] >= count)
        if len(wrong):
            found = f"{records[wrong[0], column]} in record {wrong[0]}"
            _errors.fail_value(str(path), f"labels from 0 to {count - 1}", found)
    return records


def _image_set(records: Bytes, label: int, labels: int) -> ImageSet:
    pixels = np.ascontiguousarray(records[:, labels:]).reshape(-1, *_SHAPE)
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(records[:, label].astype(np.int64)))


def _fail_pickled(path: Path) -> NoReturn:
    _errors.fail_value(str(path), "CIFAR's binary version, of files named .bin", "the pickled Python one, never read")


CIFAR_10 = DataSet(
    "cifar-10",
    "60,000 photographs of 10 classes, 3 x 32 x 32",
    lambda path: (load_cifar10(path, "train"), load_cifar10(path, "test")),
    recognises=lambda path: path.is_dir() and any(path.glob("*_batch*")),
    get="its binary version, unpacked, is the folder cifar-10-batches-bin",
)
CIFAR_100 = DataSet(
    "cifar-100",
    "60,000 photographs of 100 classes, 3 x 32 x 32",
    lambda path: (load_cifar100(path, "train"), load_cifar100(path, "test")),
    recognises=lambda path: path.is_dir() and any((path / name).exists() for name in ("train.bin", "meta")),
    get="its binary version, unpacked, is the folder cifar-100-binary",
)
