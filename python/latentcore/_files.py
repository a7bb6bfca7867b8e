"""Files: none half-written ever stands under its name, and what comes from outside is opened with care."""

import errno
import itertools
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from latentcore import _errors

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

FORMAT = 3
"""Of a run's `config.json`, which says so; that of version 0.1.0 has no such field. In 3, networks have a section."""

MOST_BYTES = 16_000_000  # of a file of figures or words

# a file system without hard links says one of these
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_TEMPORARY = re.compile(r"\..*\.(\d{1,9})-\d+\.part(\.[^.]*)?")
_numbers = itertools.count()
_own: set[Path] = set()  # temporary files that this process is writing


def printable(text: str) -> str:
    r"""A text, such as a file's name, on one line: control characters and bytes that are no UTF-8 are escaped.

    Example:
        >>> printable("two\nlines")
        'two\\nlines'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def open_regular(path: Path) -> BinaryIO:
    r"""A file opened for reading its bytes; a link is followed.

    What is opened is what is judged, and no pipe is waited for.

    Raises:
        OSError: The file is missing or may not be read.
        ValueError: It is a folder, a pipe, a socket or a device.

    Example:
        >>> _ = Path("a.bin").write_bytes(bytes([7]))
        >>> with open_regular(Path("a.bin")) as file:
        ...     file.read()
        b'\x07'
    """
    _check_regular(path, path.stat().st_mode)  # first, since opening a device may act on it, and a socket fails
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)  # the name may stand for another file by now
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        _errors.fail_value(
            printable(str(path)), "a regular file", _KINDS.get(stat.S_IFMT(mode), "another kind of file")
        )


def inside(folder: Path, path: Path) -> Path:
    """The path as it is, where no link leads out of the folder; a folder may be reached by a link itself.

    Raises:
        ValueError: A link leads out.

    Example:
        >>> inside(Path("run"), Path("run/config.json"))
        PosixPath('run/config.json')
    """
    # `resolve` raises where links go round in a circle
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        expected = f"a file in {printable(str(folder))}"
        _errors.fail_value(printable(str(path)), expected, "a link that leads out of it")
    return path


def read_bounded(path: Path, most: int = MOST_BYTES) -> bytes:
    """All bytes of a file that has at most so many; a link is followed.

    Raises:
        OSError: The file is missing or may not be read.
        ValueError: It is longer, or no regular file.

    Example:
        >>> _ = Path("a.bin").write_bytes(bytes(5))
        >>> len(read_bounded(Path("a.bin"), 10))
        5
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = b"" if size > most else file.read(most + 1)  # which may have grown
    if max(size, len(content)) > most:
        _errors.fail_value(printable(str(path)), f"a file of at most {most:,} bytes", f"one of {size:,}")
    return content


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name, on any error it is removed.

    The file under `path` is at every moment either the old one or the new one, whole. An error of the operating system
    names `path`, where it does not name another file.

    Example:
        >>> with replacing("figures.json") as temporary:
        ...     _ = temporary.write_text("{}")
    """
    with _temporary(Path(path)) as temporary:
        yield temporary
        _keep(temporary)
        temporary.replace(path)


@contextmanager
def creating(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, but nothing is replaced: of all who create the same file at the same time one succeeds.

    Raises:
        FileExistsError: There is something under the name.

    Example:
        >>> with creating("new.json") as temporary:
        ...     _ = temporary.write_text("{}")
    """
    with _temporary(Path(path)) as temporary:
        yield temporary
        _keep(temporary)
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # the name is taken by an empty file, for a moment
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
            temporary.replace(path)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json_text(content))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no regular file, not JSON, not an object, or larger than 16 MB.
    """
    text = read_bounded(path)
    try:
        content = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        _errors.fail_value(str(path), "a JSON file", str(error))
    if not isinstance(content, dict):
        _errors.fail_value(str(path), "a JSON object", type(content).__name__)
    return content


def json_text(content: Mapping[str, Any]) -> str:
    """What a JSON file holds."""
    return json.dumps(content, indent=2) + "\n"


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a run folder, to which no link from outside leads; errors as `read_json`."""
    return read_json(inside(folder, folder / "config.json"))


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of the operating system inside, such as that of a full disk, name the file where they name none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or (error.errno is None and type(error) is not OSError):
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes are gone: they were killed while they wrote."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            found = _TEMPORARY.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False) and _is_left(Path(entry.path), int(found[1])):
                with suppress(OSError):
                    Path(entry.path).unlink()


def _is_left(path: Path, process: int) -> bool:
    if process == os.getpid():  # in a container often that of the one before
        return path.absolute() not in _own
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path beside `path` that nobody else has; what is under it afterwards is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays last, since savers such as matplotlib's read the format from it; of a long name a part is enough
    name = f".{path.stem[:40]}.{os.getpid()}-{next(_numbers)}.part{path.suffix}"
    temporary = path.with_name(name)
    _own.add(temporary.absolute())
    try:
        with naming(path):
            yield temporary
    except OSError as error:
        if str(error.filename) != str(temporary):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
        _own.discard(temporary.absolute())


def _keep(temporary: Path) -> None:
    """What was written is on the disk."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
