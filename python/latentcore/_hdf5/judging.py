"""Whether a data set may be read: where its numbers lie, how they are packed, how many it says there are."""

import os
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from latentcore import _errors
from latentcore._files import printable
from latentcore._hdf5.chunks import check_chunks, check_packed
from latentcore._hdf5.files import found, opened
from latentcore._hdf5.names import ERRORS, naming, reason
from latentcore._hdf5.sizes import on_disk
from latentcore._memory import available, megabytes

_PREFIX = "HDF5_VDS_PREFIX"  # a folder where HDF5 looks for sources first
_DENSEST = 2**14  # bytes that one byte of a file may stand for, beyond what fits the memory: gzip's most is 1,032

Selection = tuple[tuple[int, ...] | None, int]
Source = tuple[tuple[int, ...], np.dtype[Any], int]


def checked(data: h5py.Dataset, name: str) -> h5py.Dataset:
    """The data set, of which nothing but its numbers is left to be read.

    Its numbers lie in its own file, or, of a virtual one, in data sets of files beside that, whose numbers lie there.

    Raises:
        ValueError: The numbers lie elsewhere, a chunk cannot be what it should be, or the shape has far more numbers
            than the file can hold.
    """
    with naming(name, "a whole data set"):
        _judge(data, name)
    return data


def _judge(data: h5py.Dataset, name: str) -> None:
    external = data.external
    if external:
        others = ", ".join(printable(os.fsdecode(entry[0])) for entry in external[:3])
        _errors.fail_value(name, "a data set in this file", f"one whose numbers lie in other files, {others}")
    if data.dtype.kind not in "fiub":
        _errors.fail_value(name, "real numbers", data.dtype)
    _check_extent(data, stored(data, name), name)
    if data.chunks is not None:
        check_chunks(data, name)


def stored(data: h5py.Dataset, name: str) -> int:
    """How many bytes of the disk hold the numbers of a data set; of a virtual one, whose sources are judged, theirs."""
    if data.is_virtual:
        return _check_sources(data, name)
    size: int = data.id.get_storage_size()
    return min(size, on_disk(data.file.id.get_vfd_handle())) if data.file.driver == "sec2" else size


def dataset(file: h5py.File, key: str, name: str, missing: str) -> h5py.Dataset:
    """The data set of a name in a file, judged.

    Args:
        file: It is open.
        key: The data set's name.
        name: What errors call the file.
        missing: What errors say was expected where the file has nothing of that name.
    """
    there = found(file, key, f"{name}: {key}")
    if there is None:
        _errors.fail_value(name, missing, names_in(file) or "an empty file")
    if not isinstance(there, h5py.Dataset):
        _errors.fail_value(f"{name}: {key}", "a data set", f"a {type(there).__name__.lower()}")
    return checked(there, f"{name}: {key}")


def names_in(file: h5py.File) -> list[str]:
    """What a file holds, for an error."""
    try:
        return sorted(printable(key) for key in file)
    except ERRORS as error:
        return [reason(error)]


def _check_extent(data: h5py.Dataset, held: int, name: str) -> None:
    size = prod(data.shape or ()) * data.dtype.itemsize
    most = max(available(), _DENSEST * held)
    if size > most:
        expected = f"at most {megabytes(most)}, by free memory and by what the file holds"
        _errors.fail_value(name, expected, f"shape {data.shape} of {data.dtype}, {megabytes(size)}")


def _check_sources(data: h5py.Dataset, name: str) -> int:
    """The sources of a virtual data set lie beside it, and their chunks are whole. How many bytes are stored."""
    if os.environ.get(_PREFIX):
        _errors.fail_value(name, f"no virtual data set while {_PREFIX} is set", os.environ[_PREFIX])
    if data.file.driver != "sec2":
        _errors.fail_value(name, "virtual data sets in files on the disk only", f"one read by {data.file.driver}")
    with naming(name, "virtual data sets of parts of known sizes"):
        sources = data.virtual_sources()
        wanted = {(s.file_name, s.dset_name): set[Selection]() for s in sources}
        for source in sources:
            wanted[source.file_name, source.dset_name].add(_selection(source))
            into = source.vspace.get_select_bounds()[1]
            if any(i >= n for i, n in zip(into, data.shape, strict=True)):
                _errors.fail_value(name, f"a virtual data set within its shape {data.shape}", f"numbers at {into}")
    return sum(_check_source(data, *names, parts, name) for names, parts in wanted.items())


def _selection(source: Any) -> Selection:
    """The last place that is read of a source, None for all of it; and how many numbers."""
    count, space = source.vspace.get_select_npoints(), source.src_space
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return None, count
    last = tuple(map(int, space.get_select_bounds()[1]))
    if space.get_select_npoints() != count:
        raise ValueError(f"{space.get_select_npoints()} numbers for {count}")
    return last, count


def _fits(selection: Selection, shape: tuple[int, ...]) -> bool:
    last, count = selection
    if last is None:
        return prod(shape) == count
    return len(last) == len(shape) and all(i < n for i, n in zip(last, shape, strict=True))


def _check_source(data: h5py.Dataset, file_name: str, dset_name: str, parts: set[Selection], name: str) -> int:
    label = f"{name}: source {printable(file_name)}"
    own = Path(data.file.filename)
    path = own if file_name == "." else _beside(own, _literal(file_name, label), label)
    try:
        status = path.stat()
    except OSError as error:
        _errors.fail_value(label, "a file beside this one", error.strerror)
    # a source is unpacked once to see that it is whole, not in every pass
    stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
    shape, dtype, held = _source(path, _literal(dset_name, label), label, stamp)
    if not np.can_cast(dtype, data.dtype):  # HDF5 would convert without a word what does not fit
        _errors.fail_value(label, f"numbers that the dtype {data.dtype} holds", dtype)
    for part in parts:
        if not _fits(part, shape):
            _errors.fail_value(label, f"numbers of a data set of shape {shape}", f"{part[1]} of them, up to {part[0]}")
    return held


@lru_cache(4096)
def _source(path: Path, key: str, label: str, _stamp: tuple[int, ...]) -> Source:
    """Shape, dtype and stored bytes of a source that may be read."""
    with opened(path) as file:
        source = found(file, key, label)
        if not isinstance(source, h5py.Dataset):
            _errors.fail_value(label, f"a data set {printable(key)}", "none of that name")
        if source.is_virtual:
            _errors.fail_value(label, "a data set of numbers", "a virtual one again")
        checked(source, label)
        check_packed(source, 0, len(source) if source.shape else 0, label)
        return source.shape or (), source.dtype.newbyteorder("="), stored(source, label)


def _beside(own: Path, file_name: str, label: str) -> Path:
    """The file that HDF5 will open: in the folder of its virtual data set or below it, also when links are followed."""
    folder = own.absolute().parent
    path = folder / file_name
    if not path.resolve().is_relative_to(folder.resolve()):
        _errors.fail_value(label, f"a file in {printable(str(folder))} or below", printable(str(path.resolve())))
    return path


def _literal(text: str, label: str) -> str:
    """A name as HDF5 takes it: %% is one %, and %b would be a number that it counts up."""
    parts = text.split("%%")
    if any("%" in part for part in parts):
        _errors.fail_value(label, "a name", f"a pattern, {printable(text)}")
    return "%".join(parts)
