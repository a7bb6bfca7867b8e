"""Reading data sets that were judged, with errors that name the file."""

import h5py
import numpy as np

from latentcore import _checks
from latentcore._hdf5.chunks import check_packed
from latentcore._hdf5.names import naming
from latentcore._hdf5.trial import check_attribute
from latentcore._memory import available, megabytes

_LONGEST = 2**16  # characters of an attribute


def read(data: h5py.Dataset, name: str, rows: slice = slice(None), *, copies: int = 1) -> np.ndarray:
    """Some rows of a data set that was judged, as an array of its dtype.

    Args:
        data: The data set, at least of one dimension.
        name: What errors call it.
        rows: Which; all by default.
        copies: As how many such arrays they shall fit the memory.

    Raises:
        ValueError: It is damaged, or too large.
    """
    if not data.shape:
        _checks.fail_value(name, "numbers in at least one dimension", f"shape {data.shape}")
    begin, end, _ = rows.indices(len(data))
    size = copies * (end - begin) * int(np.prod(data.shape[1:], dtype=object)) * data.dtype.itemsize
    if size > (free := available()):
        _checks.fail_value(
            name, f"data that fit the memory, {megabytes(free)}", f"shape {data.shape}, {megabytes(size)}"
        )
    check_packed(data, begin, end, name)
    with naming(name, "whole data"):
        return np.asarray(data[begin:end])


def read_into(data: h5py.Dataset, into: np.ndarray, begin: int, end: int, name: str) -> None:
    """The rows from `begin` to `end` of a data set that was judged as the first of `into`, whose dtype they get.

    Raises:
        ValueError: They are damaged.
    """
    check_packed(data, begin, end, name)
    with naming(name, "whole chunks" if data.chunks else "whole data"):
        data.read_direct(into[: end - begin], np.s_[begin:end])


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
