"""Damaged HDF5 files through everything that reads them; in a process of its own, since what goes wrong may end it.

python -m tests.data.hdf5_fuzz FOLDER COUNT [SEED]
"""

import sys
import warnings
from pathlib import Path

import h5py
import numpy as np

from latentcore import _hdf5
from latentcore._hdf5 import trial
from latentcore.data import load_images
from latentcore.data.egamma import EgammaFiles, inspect
from latentcore.data.egamma_simulator import simulated_by
from latentcore.mixture._stream import open_stream

LAYOUTS = (
    {},
    {"chunks": (4, 8, 8, 2)},
    {"chunks": (5, 8, 8, 2), "compression": "lzf"},
    {"chunks": (4, 8, 8, 2), "compression": "gzip", "shuffle": True, "fletcher32": True},
    {"chunks": (3, 5, 8, 1), "compression": "lzf", "shuffle": True},
)


def whole_files(folder):
    """What they are called, and what they hold: each has images, events and samples."""
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
    whole = {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}
    virtual_file(folder / "virtual.h5", "2.h5")
    virtual_file(folder / "over.h5", "damaged.h5")
    return whole | {"virtual.h5": (folder / "virtual.h5").read_bytes()}


def virtual_file(path, first):
    """Half of its numbers are one file's, half are another's."""
    with h5py.File(path, "w") as file:
        for key, shape in (("X", (16, 8, 8, 2)), ("images", (16, 8, 8)), ("samples", (16, 3))):
            layout = h5py.VirtualLayout(shape, "f4")
            layout[:8] = h5py.VirtualSource(first, key, shape)[:8]
            layout[8:] = h5py.VirtualSource("3.h5", key, shape)[8:]
            file.create_virtual_dataset(key, layout)
        file["y"] = np.arange(16) % 2


def damaged(content, random):
    """Some bytes changed, most of them near the beginning, where sizes and places stand; or a part is missing."""
    found = bytearray(content)
    if random.random() < 0.1:
        return bytes(found[: random.integers(len(found))])
    for _ in range(random.integers(1, 5)):
        place = random.integers(len(found)) if random.random() < 0.5 else random.integers(min(4000, len(found)))
        found[place] = random.choice((0, 255, found[place] ^ 1 << random.integers(8), random.integers(256)))
    return bytes(found)


def stream(path):
    with _hdf5.opened(path) as file:
        samples = _hdf5.found(file, "samples", f"{path}: samples")
        if isinstance(samples, h5py.Dataset):
            for piece in open_stream(samples).pieces():
                piece.sum()


ENTRIES = {
    "images": load_images,
    "events": lambda path: EgammaFiles(path).load(),
    "unlabelled": lambda path: list(EgammaFiles(path, labelled=False).stream(batch_size=8).epoch()),
    "inspect": inspect,
    "simulated_by": simulated_by,
    "stream": stream,
}


def raised(read, path):
    try:
        read(path)
    except Exception as error:
        return error
    return None


def run(folder, count, seed=0):
    """Print the number of each file before it is read; then how many files there were, how many
    readings were refused, and which ended otherwise.

    Args:
        folder: Where the files are written.
        count: How many damaged files.
        seed: Any int; the file of a number is the same in every run of this seed.
    """
    warnings.simplefilter("ignore")
    trial._LONGEST = 5  # what HDF5 never ends is a part of them
    whole, refused, wrong = whole_files(folder), 0, []
    for number in range(count):
        print(number, flush=True)
        random = np.random.default_rng([seed, number])
        name = list(whole)[random.integers(len(whole))]
        (folder / "damaged.h5").write_bytes(damaged(whole[name], random))
        some = [entry for entry in ENTRIES if entry != "simulated_by" or number % 8 == 0]  # this starts a process
        for entry, path in [(entry, folder / "damaged.h5") for entry in some] + [("images", folder / "over.h5")]:
            error = raised(ENTRIES[entry], path)
            refused += error is not None
            if error is not None and not (isinstance(error, ValueError | OSError) and path.stem in str(error)):
                wrong.append((number, entry, path.stem, error))
    print(count, refused, wrong)


if __name__ == "__main__":
    run(Path(sys.argv[1]), *map(int, sys.argv[2:]))
