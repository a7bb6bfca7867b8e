"""Files that are damaged or hold something else: errors name them and what is wrong."""

import h5py
import numpy as np
import pytest
from tests.data.egamma_events import CHANNELS, LAYOUTS, SIDE, events, write

from latentcore.data.egamma import EgammaFiles, inspect

IMAGES, LABELS = events(60)


def without(key):
    def change(file):
        del file[key]

    return change


def replaced(key, value):
    def change(file):
        del file[key]
        file[key] = value

    return change


def marked(key, row, value):
    def change(file):
        file[key][row] = value

    return change


def outside(file):
    del file["X"]
    file.create_dataset("X", (60, SIDE, SIDE, CHANNELS), "f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


WRONG = {
    "no images": (without("X"), r"a\.h5: expected data sets X and y, got \['y'\]"),
    "no labels": (without("y"), r"a\.h5: expected data sets X and y, got \['X'\]"),
    "three axes": (replaced("X", IMAGES[..., 0]), r"a\.h5: X: expected shape \(N, H, W, C\), .* got \(60, 16, 16\)"),
    "channels first": (replaced("X", IMAGES.transpose(0, 3, 1, 2)), r"channels last, got \(60, 2, 16, 16\)"),
    "no cells": (replaced("X", IMAGES[:, :0]), r"a\.h5: X: expected shape"),
    "no events": (lambda f: (replaced("X", IMAGES[:0])(f), replaced("y", LABELS[:0])(f)), "at least one event"),
    "fewer labels": (replaced("y", LABELS[:59]), r"a\.h5: y: expected shape \(60,\), .* got \(59,\)"),
    "columns of labels": (replaced("y", LABELS[:, None]), r"a\.h5: y: expected shape \(60,\), .* got \(60, 1\)"),
    "a third class": (marked("y", [4, 9], 2), r"a\.h5: y: expected 0 for .* got 2.* in rows 4, 9$"),
    "a label that is NaN": (marked("y", 5, np.nan), r"a\.h5: y: expected 0 for .* got nan in row 5$"),
    "text": (replaced("y", [b"a"] * 60), r"a\.h5: y: expected real numbers"),
    "a group": (lambda f: (without("X")(f), f.create_group("X")), r"a\.h5: X: expected a data set, got a group"),
    "a link": (replaced("X", h5py.ExternalLink("b.h5", "X")), r"expected a data set in this file, got a link to b\.h5"),
    "a link to nothing": (replaced("X", h5py.SoftLink("/other")), r"a\.h5: X: expected a whole data set"),
    "numbers elsewhere": (outside, r"a\.h5: X: expected a data set in this file, got one whose numbers lie in other"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG.keys())
def test_files_that_do_not_fit_are_named(tmp_path, change, message):
    path = write(tmp_path / "a.h5", IMAGES, LABELS, label_dtype="f4")
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ValueError, match=message):
        EgammaFiles(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named(tmp_path, value):
    paths = [write(tmp_path / f"{name}.h5", IMAGES, LABELS) for name in "ab"]
    with h5py.File(paths[1], "a") as file:
        file["X"][17, 3, 4, 1] = file["X"][41, 0, 0, 0] = value
    files = EgammaFiles(paths)
    message = r"b\.h5: X: expected finite numbers, got NaN or infinity in rows 17, 41$"
    for read in (files.load, files.normalisation, lambda: list(files.stream(batch_size=120).epoch(0))):
        with pytest.raises(ValueError, match=message):
            read()
    with pytest.raises(ValueError, match="NaN or infinity"):
        inspect(paths[1])
    fine = np.setdiff1d(np.arange(120), (77, 101))
    assert len(files.load(fine).labels) == 118


def test_numbers_whose_sum_is_too_large_are_fine(tmp_path):
    images = np.full((4, 4, 4, 2), 3e38)
    assert len(EgammaFiles(write(tmp_path / "a.h5", images, np.zeros(4))).load().images) == 4


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all" * 100, None], ids=["empty", "text", "cut short"])
def test_what_is_no_whole_hdf5_file_is_named(tmp_path, content):
    path = write(tmp_path / "a.h5", IMAGES, LABELS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3] if content is None else content)
    with pytest.raises(ValueError, match=r"a\.h5: expected a whole HDF5 file, got "):
        EgammaFiles(path)
    with pytest.raises(FileNotFoundError):
        EgammaFiles(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="paths: expected at least one file"):
        EgammaFiles([])


@pytest.mark.parametrize("layout", ["lzf", "gzip", "shuffled gzip", "checked lzf"])
def test_a_damaged_chunk_is_named(tmp_path, small_blocks, layout):
    images, labels = events(300)
    path = write(tmp_path / "a.h5", images, labels, **(LAYOUTS[layout] | {"chunks": (50, SIDE, SIDE, CHANNELS)}))
    with h5py.File(path) as file:
        chunk = file["X"].id.get_chunk_info_by_coord((100, 0, 0, 0))
    with path.open("rb+") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * (chunk.size // 2))
    files = EgammaFiles(path)
    for read in (files.load, lambda: list(files.stream().epoch(0))):
        with pytest.raises(ValueError, match=r"a\.h5: X, rows 100 to 149: expected whole chunks"):
            read()
    assert len(files.load(np.arange(100)).labels) == 100


def test_files_of_other_sizes_are_named(tmp_path):
    paths = [write(tmp_path / "a.h5", IMAGES, LABELS), write(tmp_path / "b.h5", IMAGES[:, :8], LABELS)]
    with pytest.raises(ValueError, match=r"b\.h5: X: expected events of \(16, 16, 2\), as .*a\.h5, got \(8, 16, 2\)"):
        EgammaFiles(paths)


def test_a_file_that_is_another_one_by_now_is_named(tmp_path):
    path = write(tmp_path / "a.h5", IMAGES, LABELS)
    files = EgammaFiles(path)
    write(path, IMAGES[:40], LABELS[:40])
    with pytest.raises(ValueError, match=r"a\.h5: X: expected the data set that was there at first, .* got \(\(40, 16"):
        files.load()


@pytest.mark.parametrize("layout", ["shuffled gzip", "checked lzf", "float64 lzf"])
def test_a_chunk_that_unpacks_to_less_is_named(tmp_path, layout):
    """HDF5 would read on behind it."""
    options = LAYOUTS[layout] | {"chunks": (60, SIDE, SIDE, CHANNELS)}
    path = write(tmp_path / "a.h5", IMAGES, LABELS, **options)
    with h5py.File(write(tmp_path / "b.h5", IMAGES[:6], LABELS[:6], **options | {"chunks": None})) as file:
        packed = file["X"].id.read_direct_chunk((0, 0, 0, 0))[1]
    with h5py.File(path, "a") as file:
        file["X"].id.write_direct_chunk((0, 0, 0, 0), packed)
    with pytest.raises(ValueError, match=r"a\.h5: X, rows 0 to \d+: expected whole chunks, got a chunk at .* bytes"):
        EgammaFiles(path).load()


def test_more_events_than_the_memory_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("X", (10**9, 32, 32, 2), "f4", chunks=(9960, 32, 32, 2), compression="lzf")
        file.create_dataset("y", (10**9,), "u1", chunks=(10**6,))
    with pytest.raises(
        ValueError, match=r"a\.h5: X: expected at most .* MB, by free memory and by what the file holds"
    ):
        EgammaFiles(tmp_path / "a.h5")


def test_events_of_a_virtual_data_set_are_those_of_its_sources(tmp_path):
    layout = LAYOUTS["lzf"] | {"chunks": (50, SIDE, SIDE, CHANNELS)}
    sources = [write(tmp_path / f"{name}.h5", IMAGES + i, LABELS, **layout) for i, name in enumerate("ab")]
    with h5py.File(tmp_path / "joined.h5", "w") as file:
        for key, shape in (("X", IMAGES.shape[1:]), ("y", ())):
            layout = h5py.VirtualLayout((120, *shape), "f4")
            for i, source in enumerate(sources):
                layout[60 * i : 60 * i + 60] = h5py.VirtualSource(source.name, key, (60, *shape))
            file.create_virtual_dataset(key, layout)
    joined, expected = EgammaFiles(tmp_path / "joined.h5"), EgammaFiles(sources)
    assert np.array_equal(joined.labels, expected.labels)
    assert np.array_equal(joined.load().images, expected.load().images)
    assert len(list(joined.stream(batch_size=7).epoch())) == 18
