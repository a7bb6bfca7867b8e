"""Events and the layouts of files in which the tests write them."""

import h5py
import numpy as np
import torch

SIDE, CHANNELS = 16, 2
OF_EVENT = SIDE * SIDE * CHANNELS * 4  # bytes

# a chunk of 7 rows fits neither the blocks nor the files
LAYOUTS = {
    "contiguous": {"dtype": "f4"},
    "chunks": {"dtype": "f4", "chunks": (7, SIDE, SIDE, CHANNELS)},
    "lzf": {"dtype": "f4", "chunks": (100, SIDE, SIDE, CHANNELS), "compression": "lzf"},
    "gzip": {"dtype": "f4", "chunks": (7, SIDE, SIDE, CHANNELS), "compression": "gzip"},
    "shuffled gzip": {"dtype": "f4", "chunks": (64, SIDE, SIDE, CHANNELS), "compression": "gzip", "shuffle": True},
    "checked lzf": {"dtype": "f4", "chunks": (64, SIDE, SIDE, CHANNELS), "compression": "lzf", "fletcher32": True},
    "parts of events": {"dtype": "f4", "chunks": (33, 5, SIDE, 1), "compression": "lzf"},
    "float64 lzf": {"dtype": "f8", "chunks": (50, SIDE, SIDE, CHANNELS), "compression": "lzf"},
    "float16": {"dtype": "f2", "chunks": (50, SIDE, SIDE, CHANNELS), "compression": "gzip"},
    "big-endian": {"dtype": ">f4", "chunks": (50, SIDE, SIDE, CHANNELS), "compression": "lzf"},
    "uint8": {"dtype": "u1"},
    "growing": {"dtype": "f4", "chunks": (4000, SIDE, SIDE, CHANNELS), "maxshape": (None,) * 4, "compression": "lzf"},
}


def events(count, seed=0):
    """Sparse images and labels."""
    random = np.random.default_rng(seed)
    images = random.integers(1, 200, (count, SIDE, SIDE, CHANNELS)) * (random.random((count, SIDE, SIDE, 1)) < 0.1)
    return images.astype(np.float64), random.integers(0, 2, count)


def write(path, images, labels, *, label_dtype="u1", dtype="f4", **layout):
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=images.astype(dtype), **layout)
        file["y"] = labels.astype(label_dtype)
    return path


def joined(batches):
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]
