"""A mixture of samples that never are in memory at once: exact passes over an HDF5 file, and batches as they come.

python docs/examples/streaming.py --samples 10000000
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from latentcore import GaussianMixture

CENTRES = np.random.default_rng(1).normal(0, 4, (6, 16)).astype(np.float32)


def batches(count: int, size: int = 100_000) -> Iterator[np.ndarray]:
    """Samples around six centres, as a detector or a simulation would deliver them."""
    random = np.random.default_rng(0)
    for begin in range(0, count, size):
        group = random.integers(0, len(CENTRES), min(size, count - begin))
        yield CENTRES[group] + random.standard_normal((len(group), 16), dtype=np.float32)


def distance(mixture: GaussianMixture) -> float:
    """How far the farthest true centre is from the nearest mean that was found."""
    squares = np.square(CENTRES[:, None] - mixture.means_).sum(-1)
    return float(np.sqrt(squares.min(1)).max())


def main(samples: int) -> None:
    """Fit from a file, then from batches of which each is seen once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.h5"
        with h5py.File(path, "w") as file:
            data = file.create_dataset("X", (samples, 16), "f4")
            for number, batch in enumerate(batches(samples)):
                data[number * 100_000 : number * 100_000 + len(batch)] = batch
        with h5py.File(path) as file:
            exact = GaussianMixture(6, n_init=3, init_size=20_000, random_state=0).fit(file["X"])
            print(f"fitted to {exact.n_samples_seen_:,.0f} samples in {exact.n_iter_} passes")
            print(f"mean log-likelihood {exact.score(file['X']):.4f}, centres found within {distance(exact):.3f}")

    online = GaussianMixture(6, n_init=3, random_state=0)
    for batch in batches(samples, size=5_000):
        online.partial_fit(batch)
    print(f"partial_fit, {online.n_iter_} batches: centres found within {distance(online):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=300_000)
    main(parser.parse_args().samples)
