"""Reading data sets that were judged, with errors that name the file."""

from math import prod

import h5py
import numpy as np

from latentcore import _errors
from latentcore._hdf5.chunks import check_packed, chunks_of
from latentcore._hdf5.judging import stored
from latentcore._hdf5.names import naming
from latentcore._hdf5.sizes import check_size
from latentcore._hdf5.trial import check_attribute
from latentcore._memory import available, megabytes

_LONGEST = 2**16  # characters of an attribute
_AT_ONCE = 2**12  # chunks that HDF5 is asked for, of each of which it notes some kilobytes


def read(data: h5py.Dataset, name: str, rows: slice = slice(None), *, copies: int = 1) -> np.ndarray:
    """Some rows of a data set that was judged, as an array of its dtype.

    Args:
        data: The data set, at least of one dimension.
        name: What errors call it.
        rows: Which; all by default.
        copies: As how many such arrays they shall fit the memory.

    Raises:
        ValueError: It is damaged, too large, or says that it has far more than the file holds.
    """
    if not data.shape:
        _errors.fail_value(name, "numbers in at least one dimension", f"shape {data.shape}")
    begin, end, _ = rows.indices(len(data))
    size = (end - begin) * prod(data.shape[1:]) * data.dtype.itemsize
    if copies * size > (free := available()):
        _errors.fail_value(
            name, f"data that fit the memory, {megabytes(free)}", f"shape {data.shape}, {megabytes(copies * size)}"
        )
    check_size(name, size, stored(data, name))
    found = np.empty((end - begin, *data.shape[1:]), data.dtype)
    step = _rows_at_once(data)
    for first in range(begin, end, step):
        read_into(data, found[first - begin :], first, min(first + step, end), name)
    return found


def read_into(data: h5py.Dataset, into: np.ndarray, begin: int, end: int, name: str) -> None:
    """The rows from `begin` to `end` of a data set that was judged as the first of `into`, whose dtype they get.

    Raises:
        ValueError: They are damaged.
    """
    check_packed(data, begin, end, name)
    with naming(name, "whole chunks" if data.chunks else "whole data"):
        data.read_direct(into[: end - begin], np.s_[begin:end])


def _rows_at_once(data: h5py.Dataset) -> int:
    if data.chunks is None:
        return max(1, len(data))
    rows: int = data.chunks[0]
    return rows * max(1, _AT_ONCE // max(1, chunks_of(data.shape[1:], data.chunks[1:])))


def read_attribute(file: h5py.File, key: str, name: str) -> str | None:
    """A text that is an attribute of a file; None where there is none, or something else.

    Raises:
        ValueError: It is damaged.
    """
    with naming(f"{name}: {key}", "a whole attribute"):
        if key not in file.attrs:
            return None
        found = file.attrs.get_id(key)
        # what has a shape may be of any size
        if found.shape != () or found.get_storage_size() > _LONGEST:
            return None
        check_attribute(file, key, f"{name}: {key}")
        text = file.attrs[key]
        return text if isinstance(text, str) else None
