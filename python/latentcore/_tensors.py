"""Files of tensors and plain values: data, never code."""

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from latentcore import _checks
from latentcore._files import replacing


def save_tensors(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write tensors and plain values (numbers, words, lists and dicts of them) so that `load_tensors` reads them."""
    buffer = io.BytesIO()  # torch itself does not tell why it cannot write to a disk
    torch.save(dict(content), buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_tensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a file that `torch.save` wrote from a dict of tensors and plain values, onto the CPU.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is truncated, is not of this kind, or holds a pickle that names code. Nothing of such a
            file is ever executed.
    """
    expected = "a whole file of tensors written by torch.save"
    with Path(path).open("rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file can make the reader raise anything
            _checks.fail_value(str(path), expected, f"another file: {_reason(error)}")
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        _checks.fail_value(str(path), f"{expected} from a dict with words as keys", type(content).__name__)
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        # torch's own message is advice on how to run the code all the same
        return "its pickle is damaged or names code"
    return next(iter(str(error).splitlines()), type(error).__name__)
