import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from latentcore.data import egamma_blocks
from latentcore.data.egamma import EgammaFiles, Normalisation, inspect

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


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 20 events or of a chunk, so that a small file has many of them."""
    monkeypatch.setattr(egamma_blocks, "_BLOCK", 20 * OF_EVENT)


@pytest.fixture
def three(tmp_path, small_blocks):
    """Files of different dtypes and layouts, and all they hold."""
    layouts = (LAYOUTS["lzf"], LAYOUTS["float64 lzf"], LAYOUTS["contiguous"])
    found = [events(count, seed) for seed, count in enumerate((530, 221, 310))]
    paths = [
        write(tmp_path / f"{i}.h5", *both, label_dtype=label_dtype, **layout)
        for i, (both, layout, label_dtype) in enumerate(zip(found, layouts, ("u1", "i8", "f4"), strict=True))
    ]
    images = np.concatenate([images for images, _ in found]).astype(np.float32)
    return EgammaFiles(paths), torch.from_numpy(images).permute(0, 3, 1, 2), np.concatenate([y for _, y in found])


def joined(batches):
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_layout_gives_what_h5py_reads(tmp_path, small_blocks, layout):
    images, labels = events(430)
    path = write(tmp_path / "a.h5", images, labels, **layout)
    with h5py.File(path) as file:
        expected = torch.from_numpy(file["X"][:].astype("f4")).permute(0, 3, 1, 2)
    files = EgammaFiles(path)
    assert torch.equal(files.load().images, expected)
    streamed = joined(files.stream(batch_size=48).epoch(0))
    assert streamed[0].shape == (430, CHANNELS, SIDE, SIDE)
    assert streamed[0].dtype == torch.float32
    assert streamed[0].is_contiguous()
    assert torch.equal(streamed[0], expected[streamed[2]])
    assert streamed[1].tolist() == labels[streamed[2]].tolist()


@pytest.mark.parametrize("filters", ["lzf", "gzip"])
def test_chunks_without_a_decoder_or_left_unpacked_are_read_by_hdf5(tmp_path, small_blocks, monkeypatch, filters):
    images = np.random.default_rng(0).random((90, SIDE, SIDE, CHANNELS))  # that lzf makes longer, so it leaves them
    images[:30] = 0
    path = write(tmp_path / "a.h5", images, np.zeros(90), chunks=(30, SIDE, SIDE, CHANNELS), compression=filters)
    expected = torch.from_numpy(images.astype("f4")).permute(0, 3, 1, 2)
    assert torch.equal(EgammaFiles(path).load().images, expected)
    monkeypatch.setattr(egamma_blocks, "_lzf", lambda: None)
    assert torch.equal(EgammaFiles(path).load().images, expected)


def test_chunks_that_were_never_written_are_zeros(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("X", (60, 4, 4, 2), "f4", chunks=(20, 4, 4, 2), compression="lzf")
        data[20:40] = 1
        file["y"] = np.zeros(60)
    assert EgammaFiles(tmp_path / "a.h5").load().images.sum((1, 2, 3)).tolist() == [0] * 20 + [32] * 20 + [0] * 20


def test_an_epoch_has_every_row_of_a_part_once(three):
    files, images, labels = three
    for part in files.split((0.8, 0.1, 0.1), seed=3).parts:
        for options in ({}, {"window": 1, "memory_mb": 0}, {"window": 10**6}, {"shuffle": False}):
            stream = files.stream(part, batch_size=37, **options)
            batches = list(stream.epoch(1))
            assert [len(b.labels) for b in batches[:-1]] == [37] * (len(stream) - 1)
            found, found_labels, rows = joined(batches)
            assert (rows.tolist() == part.tolist()) == (not stream.shuffle)
            assert rows.sort().values.tolist() == part.tolist()
            assert torch.equal(found, images[rows])
            assert found_labels.tolist() == labels[rows].tolist()


def test_the_order_is_a_function_of_seed_and_epoch(three):
    files = three[0]

    def order(seed, epoch, **options):
        return joined(files.stream(seed=seed, **options).epoch(epoch))[2].tolist()

    assert order(0, 0) == order(0, 0) == order(0, 0, memory_mb=1000) == order(0, 0, batch_size=7)
    assert len({tuple(order(*numbers)) for numbers in ((0, 0), (0, 1), (1, 0), (1, 1))}) == 4


@pytest.mark.parametrize("options", [{}, {"window": 200}, {"window": 1}, {"shuffle": False}])
def test_an_epoch_goes_on_where_it_was_left(three, monkeypatch, options):
    files = three[0]
    stream = files.stream(files.split().train, batch_size=32, seed=5, **options)
    whole = list(stream.epoch(2))
    blocks = []
    read = egamma_blocks.Reader.read
    monkeypatch.setattr(egamma_blocks.Reader, "read", lambda *args: (blocks.append(args[1]), read(*args))[1])
    for start in (0, 1, 7, len(whole) - 1, len(whole)):
        blocks.clear()
        rest = list(stream.epoch(2, start=start))
        assert len(rest) == len(whole) - start
        for ours, theirs in zip(rest, whole[start:], strict=True):
            assert all(map(torch.equal, ours, theirs))
        assert len(blocks) == len(set(blocks))
        windows = stream._windows(2)
        last = [] if start == len(whole) else windows[-1]
        assert set(last) <= set(blocks)
        if start >= len(whole) - 1:
            assert len(blocks) <= 2 * max(map(len, windows))
    with pytest.raises(ValueError, match=r"start: expected an int in \[0, "):
        stream.epoch(0, start=len(whole) + 1)


def test_an_epoch_may_be_left(three):
    for batch in three[0].stream(batch_size=8).epoch(0):
        assert len(batch.labels) == 8
        break


def test_rows_are_mixed_within_a_window(three):
    rows = joined(three[0].stream(window=10**6).epoch(0))[2].double()
    places = torch.arange(len(rows)).double()
    assert abs(float(torch.corrcoef(torch.stack((rows, places)))[0, 1])) < 0.15


def test_windows_of_files_of_one_class_each_have_both(tmp_path, small_blocks):
    paths = [
        write(tmp_path / f"{label}.h5", events(count)[0], np.full(count, label))
        for label, count in ((0, 600), (1, 600))
    ]
    for batch in EgammaFiles(paths).stream(batch_size=40, window=40).epoch(0):
        assert 0.2 < float(batch.labels.double().mean()) < 0.8


def test_splits_are_stratified_and_come_back(tmp_path, three):
    files, _, labels = three
    for fractions in ((0.8, 0.2), (0.8, 0.1, 0.1)):
        split = files.split(fractions, seed=1)
        assert np.sort(np.concatenate(split.parts)).tolist() == list(range(len(files)))
        for part, share in zip(split.parts, fractions, strict=True):
            for label in (0, 1):
                expected = share * (labels == label).sum()
                assert abs((labels[part] == label).sum() - expected) <= 1
        again = files.split_of(json.loads(json.dumps(split.to_dict())))
        assert again == split
        assert all(map(np.array_equal, again.parts, split.parts))
        assert not np.array_equal(files.split(fractions, seed=2).train, split.train)
    assert split.validation is split.parts[1]
    with pytest.raises(ValueError, match="a split in three parts"):
        _ = files.split().validation
    other = EgammaFiles(write(tmp_path / "other.h5", *events(100, 9)))
    with pytest.raises(ValueError, match=r"other\.h5: expected the files that were split"):
        other.split_of(split.to_dict())
    for wrong in ((1.0,), (0.5, 0.4), (1.2, -0.2), (float("nan"), 0.5)):
        with pytest.raises(ValueError, match="fractions: expected two or three positive numbers"):
            files.split(wrong)
    with pytest.raises(ValueError, match="in every part"):
        files.split((0.9999, 0.0001))


def test_normalisation_is_numpys(three):
    files, images, _ = three
    rows = files.split().train
    found, x = files.normalisation(rows), images[rows].double().numpy()
    own = [x[:, c] for c in range(CHANNELS)]
    hit = [c[c != 0] for c in own]
    expected = {
        "mean": [c.mean() for c in own],
        "std": [c.std() for c in own],
        "nonzero_mean": [c.mean() for c in hit],
        "nonzero_std": [c.std() for c in hit],
        "maximum": [abs(c).max() for c in own],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-12)
    batch = images[:9]
    mean, std = (torch.tensor(expected[k], dtype=torch.float32).view(1, -1, 1, 1) for k in ("mean", "std"))
    torch.testing.assert_close(found(batch), (batch - mean) / std)
    assert torch.equal(found(batch, "nonzero") == 0, batch == 0)
    assert float(found(images, "maximum").abs().max()) == pytest.approx(1)
    assert Normalisation.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValueError, match="values: expected mean, std"):
        Normalisation.from_dict({"mean": [1.0]})
    with pytest.raises(ValueError, match="how: expected one of"):
        found(batch, "other")


def test_normalisation_of_zeros_and_negative_numbers(tmp_path):
    images = np.zeros((10, 4, 4, 2))
    images[3, 0, 0, 1] = -5
    found = EgammaFiles(write(tmp_path / "a.h5", images, np.zeros(10))).normalisation()
    assert found.maximum == (0.0, 5.0)
    assert found.nonzero_std == (0.0, 0.0)
    assert torch.isfinite(found(torch.ones(1, 2, 4, 4))).all()


def test_load_has_the_rows_and_dtypes_asked_for(tmp_path):
    images, labels = events(50)
    files = EgammaFiles(write(tmp_path / "a.h5", images + 1e-9, labels, dtype="f8"))
    exact = torch.from_numpy(images + 1e-9).permute(0, 3, 1, 2)
    rows = np.array([0, 7, 49])
    found = files.load(rows, dtype=None)
    assert found.images.dtype == torch.float64
    assert torch.equal(found.images, exact[rows])
    assert found.labels.tolist() == labels[rows].tolist()
    assert found.rows.tolist() == rows.tolist()
    assert torch.equal(files.load(dtype=torch.float16).images, exact.half())
    mixed = EgammaFiles([files.files[0].path, write(tmp_path / "b.h5", images, labels)])
    with pytest.raises(TypeError, match="dtype: expected one for all files, got float32, float64"):
        mixed.load(dtype=None)
    with pytest.raises(TypeError, match="dtype: expected floating point or uint8"):
        files.load(dtype=torch.int64)
    for wrong in ([3, 2], [1, 1], [-1], [50], []):
        with pytest.raises(ValueError, match="rows: expected"):
            files.load(np.array(wrong, dtype=np.int64))
    with pytest.raises(TypeError, match="rows: expected whole numbers"):
        files.load(np.array([0.5]))


def test_inspect_says_what_a_file_holds(tmp_path):
    images, labels = events(200)
    layout = {"chunks": (50, SIDE, SIDE, CHANNELS), "compression": "gzip", "shuffle": True}
    path = write(tmp_path / "a.h5", images, labels, label_dtype="i8", **layout)
    found = inspect(path)
    assert (found["shape"], found["dtype"], found["label_dtype"]) == (images.shape, "float32", "int64")
    assert (found["chunks"], found["compression"]) == (layout["chunks"], ["shuffle", "gzip"])
    assert found["classes"] == {"photon": int((labels == 0).sum()), "electron": int((labels == 1).sum())}
    assert (found["minimum"], found["maximum"]) == ([0, 0], [images[..., c].max() for c in (0, 1)])
    np.testing.assert_allclose(found["zeros"], [(images[..., c] == 0).mean() for c in (0, 1)])
    expected = np.stack([images[labels == label].mean(0) for label in (0, 1)]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found["mean_images"], expected, rtol=1e-12)


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


MEMORY = """
import sys
from latentcore.data.egamma import EgammaFiles, inspect
from latentcore.testing import peak_memory_mb
before = peak_memory_mb()
count = sum(len(batch.labels) for batch in EgammaFiles(sys.argv[1]).stream(batch_size=64).epoch(0))
print(count, peak_memory_mb() - before)
inspect(sys.argv[1])
print(count, peak_memory_mb() - before)
"""


def test_a_large_file_takes_little_memory(tmp_path):
    rows, count = 9960, 100_000
    random = np.random.default_rng(0)
    hit = random.random((rows, 32, 32, 1), dtype=np.float32) < 0.1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("X", (count, 32, 32, 2), "f4", chunks=(rows, 32, 32, 2), compression="lzf")
        data[:rows] = hit * random.random((rows, 32, 32, 2), dtype=np.float32)
        file.flush()
        _, packed = data.id.read_direct_chunk((0, 0, 0, 0))
        for begin in range(rows, count, rows):
            data.id.write_direct_chunk((begin, 0, 0, 0), packed)
        file["y"] = np.arange(count) % 2
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "a.h5")]
    # one thread, since small batches on a busy machine would mostly wait for the other
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    for line in result.stdout.splitlines():
        assert int(line.split()[0]) == count
        assert float(line.split()[1]) <= 220  # two chunks of 78 MB, what HDF5 holds, and batches
