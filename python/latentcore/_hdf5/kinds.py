"""What is an HDF5 data set, asked without importing h5py."""

import sys


def is_dataset(thing: object) -> bool:
    """Whether this is a data set of an HDF5 file; nothing is one where nobody has imported h5py."""
    h5py = sys.modules.get("h5py")
    return h5py is not None and isinstance(thing, h5py.Dataset)
