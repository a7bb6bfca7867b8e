"""HDF5 files, whoever wrote them: the one place where the package opens, judges, reads and writes them.

A file from outside may be damaged or made to do harm, and HDF5 believes what it reads: it follows links and external
storage to any file, and reads beyond its memory where a chunk unpacks to less than it should. So a data set is judged
before it is read (`dataset`, `checked`), and a packed chunk is looked at before HDF5 unpacks it (`read`, `read_into`).
"""

from latentcore._hdf5.chunks import named_filters
from latentcore._hdf5.files import found, new_file, opened
from latentcore._hdf5.judging import checked, dataset, names_in, stored
from latentcore._hdf5.names import ERRORS, naming, reason
from latentcore._hdf5.reading import read, read_attribute, read_into

__all__ = [
    "ERRORS",
    "checked",
    "dataset",
    "found",
    "named_filters",
    "names_in",
    "naming",
    "new_file",
    "opened",
    "read",
    "read_attribute",
    "read_into",
    "reason",
    "stored",
]
