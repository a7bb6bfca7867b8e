"""Hashes of data: by them a run knows its data again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

_BLOCK = 1 << 20  # bytes of a file at a time


def fingerprint(*tensors: Tensor) -> str:
    """SHA-256 of the shapes and numbers of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def image_hash(images: Any) -> str:
    """The same of an `ImageSet`: of its images, and of its labels where these are known."""
    return fingerprint(images.images, *(() if images.labels is None else (images.labels,)))


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def joint_hash(words: Iterable[str]) -> str:
    """SHA-256 of several words in their order."""
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogateescape")).hexdigest()
