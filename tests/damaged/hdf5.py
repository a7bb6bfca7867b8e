"""HDF5 files of images, events and samples, in every layout, and virtual ones over others."""

import h5py
import numpy as np
from tests.damaged.changes import changed

from latentcore import _hdf5
from latentcore._hdf5 import trial
from latentcore.data import load_images
from latentcore.data.egamma import EgammaFiles, inspect
from latentcore.data.egamma.simulator import simulated_by
from latentcore.mixture._stream import open_stream

LAYOUTS = (
    {},
    {"chunks": (4, 8, 8, 2)},
    {"chunks": (5, 8, 8, 2), "compression": "lzf"},
    {"chunks": (4, 8, 8, 2), "compression": "gzip", "shuffle": True, "fletcher32": True},
    {"chunks": (3, 5, 8, 1), "compression": "lzf", "shuffle": True},
)


def whole_files(folder):
    """Each has images, events and samples."""
    random = np.random.default_rng(0)
    events = random.random((16, 8, 8, 2), dtype=np.float32) * (random.random((16, 8, 8, 1)) < 0.3)
    for number, layout in enumerate(LAYOUTS):
        with h5py.File(folder / f"{number}.h5", "w", libver=("earliest", "latest")[number % 2]) as file:
            file.create_dataset("X", data=events.astype("f4"), **layout)
            file["y"] = np.arange(16, dtype="u1") % 2
            chunks = {name: value for name, value in layout.items() if name != "chunks"}
            file.create_dataset("images", data=events[..., 0], **chunks)
            file.create_dataset("samples", data=events.reshape(16, -1)[:, :3], **chunks)
            file.attrs["simulator"] = "{}"
    virtual_file(folder / "virtual.h5")
    return sorted(path.name for path in folder.iterdir())


def virtual_file(path):
    """Half of its numbers are one file's, half are another's."""
    with h5py.File(path, "w") as file:
        for key, shape in (("X", (16, 8, 8, 2)), ("images", (16, 8, 8)), ("samples", (16, 3))):
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:8] = h5py.VirtualSource("2.h5", key, shape)[:8]
            layout[8:] = h5py.VirtualSource("3.h5", key, shape)[8:]
            file.create_virtual_dataset(key, layout)
        file["y"] = np.arange(16) % 2


def damage(path, random):
    path.write_bytes(changed(path.read_bytes(), random))


def stream(path):
    with _hdf5.opened(path) as file:
        samples = _hdf5.found(file, "samples", f"{path}: samples")
        if isinstance(samples, h5py.Dataset):
            for piece in open_stream(samples).pieces():
                piece.sum()


def readers(name, number):
    trial._LONGEST = 5  # what HDF5 never ends is a part of them
    found = {
        "images": load_images,
        "events": lambda path: EgammaFiles(path).load(),
        "unlabelled": lambda path: list(EgammaFiles(path, labelled=False).stream(batch_size=8).epoch()),
        "inspect": inspect,
        "stream": stream,
    }
    if name in ("2.h5", "3.h5"):
        found["virtual"] = lambda path: load_images(path.with_name("virtual.h5"))
    if number % 8 == 0:  # this starts a process
        found["simulated_by"] = simulated_by
    return found
