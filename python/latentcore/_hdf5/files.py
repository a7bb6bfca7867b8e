"""Opening HDF5 files, following links within them, and writing new ones."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import h5py

from latentcore import _errors
from latentcore._files import open_regular, printable, replacing
from latentcore._hdf5.names import ERRORS, naming, reason
from latentcore._hdf5.trial import check_opens

_MOST_LINKS = 16  # soft ones on the way to an object: more of them are a circle


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, to read.

    Raises:
        OSError: The file is missing or may not be read.
        ValueError: It is no regular file, or no whole HDF5 file.
    """
    with open_regular(path):
        pass
    file = _open(path)
    try:
        yield file
    finally:
        # a damaged file may not let go of what was read of it; whoever read it has said what is wrong
        with suppress(*ERRORS):
            file.close()


def _open(path: Path) -> h5py.File:
    try:
        try:
            return h5py.File(path, "r", locking=False)
        except OSError as error:
            if "locking flag" not in str(error):
                raise
            return h5py.File(path, "r")  # it is open in this process already, with a lock
    except ERRORS as error:
        _errors.fail_value(printable(str(path)), "a whole HDF5 file", reason(error))


def found(file: h5py.File, key: str, name: str) -> h5py.HLObject | None:
    """What has a name and lies in this file: a data set, group or type; None where nothing has the name.

    HDF5 would follow a link to another file, whatever that is, so the way is gone step by step.

    Raises:
        ValueError: It is damaged, or behind a link to another file.
    """
    with naming(name, "a whole data set"):
        way = _without_links(file, key, name)
        if way is None:
            return None
        check_opens(file, way, name)
        return file[way]


def _without_links(file: h5py.File, key: str, name: str) -> str | None:
    """The same place, on a way of hard links alone; None where nothing has the name."""
    way, rest, soft, links = "", _steps(key), 0, file.id.links
    while rest:
        step = f"{way}/{rest.pop(0)}"
        if not links.exists(os.fsencode(step)):
            if soft:
                _errors.fail_value(name, "a whole data set", "a link to nothing")
            return None
        kind = links.get_info(os.fsencode(step)).type
        if kind == h5py.h5l.TYPE_HARD:
            way = step
        elif kind == h5py.h5l.TYPE_SOFT and soft < _MOST_LINKS:
            target = os.fsdecode(links.get_val(os.fsencode(step)))
            way, rest, soft = "" if target.startswith("/") else way, _steps(target) + rest, soft + 1
        else:
            _errors.fail_value(name, "a data set in this file", _words(links, step, kind))
    return way or "/"


def _steps(key: str) -> list[str]:
    return [step for step in key.split("/") if step not in ("", ".")]


def _words(links: h5py.h5l.LinkProxy, step: str, kind: int) -> str:
    if kind == h5py.h5l.TYPE_EXTERNAL:
        return f"a link to {printable(os.fsdecode(links.get_val(os.fsencode(step))[0]))}"
    return "links in a circle" if kind == h5py.h5l.TYPE_SOFT else "a link of an unknown kind"


class NewFile(io.RawIOBase):
    """What HDF5 writes into: it never sees a write fail, after which it would end the process sooner or later."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb+", buffering=0)
        self._failed: OSError | None = None

    def check(self) -> None:
        """Raise what went wrong so far."""
        if self._failed is not None:
            raise self._failed

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        """Zeros where nothing could be written."""
        got = self._file.readinto(into) or 0
        into[got:] = bytes(len(into) - got)
        return len(into)

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """All of it, or nothing once something went wrong."""
        done = 0
        while self._failed is None and done < len(data):
            try:
                done += self._file.write(data[done:]) or 0
            except OSError as error:
                self._failed = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """Change the file's size."""
        if self._failed is None:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self._failed = error
        return size or 0

    def close(self) -> None:
        """As of any file."""
        self._file.close()
        super().close()


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """A new HDF5 file to write, which takes its name when it is whole, and what raises if writing has failed so far.

    Raises:
        OSError: It cannot be written; the error names `path`, and whatever stood there is still there.

    Example:
        >>> with new_file("numbers.h5") as (file, check):
        ...     file["numbers"] = [1, 2]
        ...     check()
    """
    with replacing(path) as temporary, closing(NewFile(temporary)) as sink:
        with h5py.File(sink, "w") as file:
            yield file, sink.check
        sink.check()
