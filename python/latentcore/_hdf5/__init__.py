"""HDF5 files, whoever wrote them: the one place where the package opens, judges, reads and writes them.

A file from outside may be damaged or made to do harm, and HDF5 believes what it reads: it follows links and external
storage to any file, and reads beyond its memory where a chunk unpacks to less than it should. So a data set is judged
before it is read (`dataset`, `checked`), and a packed chunk is looked at before HDF5 unpacks it (`read`, `read_into`).
"""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
