"""Files of tensors and plain values: data, never code."""

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._files import open_regular, printable, replacing

_EXPECTED = "a whole file of tensors written by torch.save"
_ARCHIVE = b"PK\x03\x04"  # how a file begins that is not of torch's old format
_MOST_VALUES = 1_000_000  # that a file may hold, tensors, numbers and words, all lists and dicts unfolded
_DEEPEST = 50
_LONGEST = 300  # letters of a reason


def save_tensors(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors and plain values (numbers, words, lists and dicts of them) so that `load_tensors` reads them."""
    buffer = io.BytesIO()  # torch itself does not tell why it cannot write to a disk
    torch.save(dict(content), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_tensors(path: str | os.PathLike[str], *, most_words: int | None = None) -> dict[str, Any]:
    """Read a file that `torch.save` wrote from a dict of tensors and plain values, onto the CPU.

    Memory and time are bounded by the file's size: what unpacks to more than it has bytes is refused.

    Args:
        path: The file.
        most_words: Bytes of all that is not numbers of tensors, of which Python reads a megabyte in seconds; a file of
            torch's old format is refused then, since it does not say how many they are. None: any.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is truncated, is not of this kind, or holds a pickle that names code. Nothing of such a
            file is ever executed.
    """
    name = printable(str(path))
    with open_regular(Path(path)) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            _check_archive(file, size, most_words)
            content = _loaded(file)
            _check_values(content, size)
        except Exception as error:  # a damaged file can make the reader raise anything
            _errors.fail_value(name, _EXPECTED, f"another file: {_reason(error)}")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        _errors.fail_value(name, f"{_EXPECTED} from a dict with words as keys", type(content).__name__)
    return content


def _loaded(file: BinaryIO) -> object:
    """What torch reads: a sparse tensor may not name places beyond its end, and a remark on one is no error."""
    with warnings.catch_warnings(), torch.sparse.check_sparse_tensor_invariants():
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def _check_archive(file: BinaryIO, size: int, most_words: int | None) -> None:
    """Nothing in the archive is packed or stands in it twice, as torch.save writes it."""
    is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    if most_words is not None and not is_archive:
        raise ValueError("it is no archive")
    if is_archive:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its entries are packed")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("its entries have more bytes than the file")
        # torch finds them in small and in capital letters
        words = sum(entry.file_size for entry in entries if entry.filename.lower().endswith("data.pkl"))
        if most_words is not None and words > most_words:
            raise ValueError(f"{words:,} bytes of it are no numbers, more than {most_words:,}")
    file.seek(0)


def _check_values(content: object, size: int) -> None:
    """No list or tensor is larger than what stands in the file; the same value may stand in many places."""
    level: list[object] = [content]
    count = depth = total = 0
    while level:
        count, depth = count + len(level), depth + 1
        if count > _MOST_VALUES or depth > _DEEPEST:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values, or values nested {_DEEPEST} deep")
        total += sum(_bytes_of(value) for value in level if isinstance(value, Tensor))
        inner = chain.from_iterable(map(_inside, level))
        level = list(islice(inner, _MOST_VALUES + 1))
    if total > 2 * size:  # two names may share a tensor
        raise ValueError(f"its tensors have {total:,} bytes, the file {size:,}")


def _bytes_of(tensor: Tensor) -> int:
    if tensor.device.type != "cpu":
        raise ValueError(f"a tensor without values, on the device {tensor.device.type}")
    # of other layouts only the parts are known; they are refused where numbers are wanted
    return tensor.numel() * tensor.element_size() if tensor.layout == torch.strided else 0


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple | set | frozenset) else ()


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        # torch's own message is advice on how to run the code all the same
        return "its pickle is damaged or names code"
    return next(iter(str(error).splitlines()), type(error).__name__)[:_LONGEST]
