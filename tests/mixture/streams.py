"""Streams that the tests read, and when two fits are the same."""

import h5py
import numpy as np

RESULTS = ("weights_", "means_", "covariances_", "precisions_cholesky_", "lower_bounds_", "n_iter_")


class Pieces:
    """An iterable that is no array."""

    def __init__(self, X, size):
        self.X, self.size = X, size

    def __iter__(self):
        return iter([self.X[begin : begin + self.size] for begin in range(0, len(self.X), self.size)])


def memory_map(X, folder):
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


def hdf5(X, folder, **options):
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("x", data=X, **options)
    return h5py.File(folder / "x.h5")["x"]


def assert_same(found, expected, tolerance=1e-9):
    for name in RESULTS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance)
