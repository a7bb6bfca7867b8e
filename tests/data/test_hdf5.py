"""Files that were made to do harm: what is read of them, and in which words the rest is refused."""

import os
import resource
import sys
import zlib

import h5py
import numpy as np
import pytest

from latentcore import _hdf5, _memory
from latentcore._hdf5 import trial
from latentcore.data import load_images
from latentcore.data.egamma.simulator import SimulatorConfig, simulated_by

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LARGE = 2**24  # bytes; what is read beyond so large an array's end is not the process's


def written(path, change):
    with h5py.File(path, "w") as file:
        change(file)
    return path


def virtual(source, key="x", shape=IMAGES.shape, parts=1):
    def change(file):
        layout = h5py.VirtualLayout((parts * len(IMAGES), *IMAGES.shape[1:]), "u1")
        for i in range(parts):
            part = h5py.VirtualSource(source.format(i), key, shape)
            layout[i * len(IMAGES) : (i + 1) * len(IMAGES)] = part[: len(IMAGES)]
        file.create_virtual_dataset("images", layout)

    return change


def packed(content, mask=0, size=LARGE, **options):
    """Images whose only chunk is replaced."""

    def change(file):
        data = file.create_dataset("images", (1, 1, size), "u1", chunks=(1, 1, size), **options)
        data.id.write_direct_chunk((0, 0, 0), content, mask)

    return change


def filtered(number):
    """Images that a filter packs which need not be there."""

    def change(file):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((1, 4, 4))
        plist.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((1, 4, 4))
        h5py.h5d.create(file.id, b"images", h5py.h5t.NATIVE_UINT8, space, plist).write_direct_chunk((0, 0, 0), b"a" * 9)

    return change


@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_a_virtual_data_set_joins_the_files_beside_it(tmp_path, compression):
    (tmp_path / "below").mkdir()
    for i in range(3):
        written(
            tmp_path / "below" / f"{i}.h5",
            lambda file, i=i: file.create_dataset("x", data=IMAGES + i, compression=compression),
        )
    path = written(tmp_path / "a.h5", virtual("below/{}.h5", parts=3))
    assert np.array_equal(load_images(path).images[:, 0], np.concatenate([IMAGES, IMAGES + 1, IMAGES + 2]))
    written(path, lambda file: (file.__setitem__("x", IMAGES), virtual(".")(file)))
    assert np.array_equal(load_images(path).images[:, 0], IMAGES)
    (tmp_path / "below" / "1.h5").unlink()
    with pytest.raises(ValueError, match=r"a\.h5: .*source below/1\.h5: expected a file beside this one"):
        load_images(written(path, virtual("below/{}.h5", parts=3)))


def short(file):
    packed(zlib.compress(b"abc"), compression="gzip")(file)
    file["x"] = file["images"]


SOURCES = {
    "a file elsewhere": ("{folder}/x.h5", r"expected a file in \S+/own or below, got \S+/x\.h5"),
    "a file above": ("../x.h5", r"expected a file in \S+/own or below, got \S+/x\.h5"),
    "a link out": ("link.h5", r"expected a file in \S+/own or below, got \S+/x\.h5"),
    "a pipe": ("pipe.h5", "expected a regular file, got a pipe"),
    "no HDF5": ("text.h5", "expected a whole HDF5 file"),
    "itself": ("a.h5", "expected a data set of numbers, got a virtual one"),
    "a virtual one": ("virtual.h5", "expected a data set of numbers, got a virtual one"),
    "external storage": ("external.h5", "numbers lie in other files, /etc/passwd"),
    "no data set": ("none.h5", "expected a data set x, got none"),
    "too few numbers": ("few.h5", r"expected numbers of a data set of shape \(2, 5, 4\), got 120 of them"),
    "floats": ("floats.h5", "source floats.h5: expected numbers that the dtype uint8 holds, got float32"),
    "negative ones": ("ints.h5", "source ints.h5: expected numbers that the dtype uint8 holds, got int16"),
    "a short chunk": ("short.h5", "expected numbers of a data set|a chunk at .* of 3 bytes instead of"),
}


@pytest.mark.parametrize(("source", "message"), SOURCES.values(), ids=SOURCES.keys())
def test_sources_that_are_not_read(tmp_path, source, message):
    own = tmp_path / "own"
    own.mkdir()
    written(tmp_path / "x.h5", lambda file: file.__setitem__("x", IMAGES))
    (own / "link.h5").symlink_to(tmp_path / "x.h5")
    (own / "text.h5").write_text("text")
    os.mkfifo(own / "pipe.h5")
    written(own / "virtual.h5", lambda file: (virtual("few.h5")(file), file.move("images", "x")))
    written(own / "none.h5", lambda file: None)
    written(own / "few.h5", lambda file: file.__setitem__("x", IMAGES[:2]))
    written(own / "short.h5", short)
    written(own / "floats.h5", lambda file: file.__setitem__("x", IMAGES.astype("f4") / 255))
    written(own / "ints.h5", lambda file: file.__setitem__("x", IMAGES.astype(">i2") - 5))
    written(
        own / "external.h5", lambda file: file.create_dataset("x", (6, 5, 4), "u1", external=[("/etc/passwd", 0, 120)])
    )
    key = "images" if source == "a.h5" else "x"
    path = written(own / "a.h5", virtual(source.replace("{folder}", str(tmp_path)), key))
    with pytest.raises(ValueError, match=rf"a\.h5: .*{message}"):
        load_images(path)


def test_a_virtual_data_set_that_ends_hdf5_is_opened_elsewhere_first(tmp_path):
    written(tmp_path / "x.h5", lambda file: file.__setitem__("x", IMAGES))
    path = written(tmp_path / "a.h5", virtual("x.h5"))
    head = b"\x20\0\0\0\x03\0\0\0\x01"  # of a selection: 32 bytes, three dimensions, one block
    assert head in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(head, head.replace(b"\x03", b"\xd0")))
    with pytest.raises(ValueError, match=r"a\.h5: .*got a virtual one with damaged sources"):
        load_images(path)


def test_a_text_that_hdf5_never_ends_reading_is_read_elsewhere_first(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_LONGEST", 3)
    path = written(tmp_path / "a.h5", lambda file: file.attrs.__setitem__("simulator", "{}"))
    assert simulated_by(path) == SimulatorConfig()
    content = bytearray(path.read_bytes())
    free = content.index(b"GCOL") + 48  # where the size of the rest of the heap stands
    assert content[free : free + 2] == (4096 - 40).to_bytes(2, "little")
    content[free : free + 2] = bytes(2)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.h5: simulator: expected a whole attribute, got one in a damaged heap"):
        simulated_by(path)


def beyond_a_link(file):
    file["other"] = h5py.ExternalLink("pipe.h5", "/")
    file["images"] = h5py.SoftLink("/other/x")


REFUSED = {
    "external storage": (
        lambda file: file.create_dataset("images", (4, 10, 10), "u1", external=[("/etc/passwd", 0, 400)]),
        "expected a data set in this file, got one whose numbers lie in other files, /etc/passwd",
    ),
    "an external link": (
        lambda file: file.__setitem__("images", h5py.ExternalLink("pipe.h5", "x")),
        r"expected a data set in this file, got a link to pipe\.h5",
    ),
    "one behind a soft link": (beyond_a_link, r"expected a data set in this file, got a link to pipe\.h5"),
    "a circle": (lambda file: file.__setitem__("images", h5py.SoftLink("images")), "got links in a circle"),
    "a chunk that unpacks to less": (packed(zlib.compress(b"abc"), compression="gzip"), "3 bytes instead of 16777216"),
    "one that unpacks to more": (
        packed(zlib.compress(bytes(LARGE)), size=999, compression="gzip"),
        "a chunk at .* bytes instead of 999",
    ),
    "one that does not unpack": (
        packed(b"a" * 99, compression="lzf"),
        "a chunk at .* of bytes that cannot be unpacked",
    ),
    "one that says it is not packed": (
        packed(b"abc", mask=1, compression="gzip"),
        r"expected whole chunks of 16777216 bytes, got one at \(0, 0, 0\) of 3 bytes that no filter packs",
    ),
    "more than the memory": (
        lambda file: file.create_dataset("images", (10**6, 10**3, 10**3), "f4", chunks=(1, 1000, 1000)),
        r"images: expected at most .* MB, .* got shape \(1000000, 1000, 1000\) of float32, 3,814,697\.3 MB",
    ),
    "a filter that nobody has": (filtered(40000), r"expected filters among gzip, .* got filter 40000 \(unknown\)"),
    "a filter that cannot be checked": (filtered(32026), r"expected filters among .* got filter 32026 \(blosc2\)"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_in_one_sentence(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.h5")
    with pytest.raises(ValueError, match=rf"a\.h5: .*{message}"):
        load_images(written(tmp_path / "a.h5", change))


def test_links_within_the_file_and_what_was_never_written_are_fine(tmp_path):
    def change(file):
        file["group/data"], file["group/link"] = IMAGES, h5py.SoftLink("data")
        file["images"] = h5py.SoftLink("/group/link")
        file.create_dataset("labels", (6,), "u1", chunks=(2,))

    found = load_images(written(tmp_path / "a.h5", change))
    assert np.array_equal(found.images[:, 0], IMAGES)
    assert found.labels.tolist() == [0] * 6


def test_filters_come_from_hdf5plugin(tmp_path, monkeypatch):
    path = written(tmp_path / "a.h5", filtered(32015))
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: "hdf5plugin" in sys.modules)
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    monkeypatch.delitem(sys.modules, "hdf5plugin")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none")])
    with pytest.raises(
        ValueError, match=r"a filter that is installed \(hdf5plugin has many\), got filter 32015 \(zstd\)"
    ):
        load_images(path)
    (tmp_path / "hdf5plugin.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ValueError, match="bytes that cannot be unpacked"):  # the chunk is no frame
        load_images(path)


def test_a_real_plugin_reads(tmp_path):
    plugins = pytest.importorskip("hdf5plugin")
    for options in (plugins.Zstd(), plugins.Blosc(), plugins.LZ4(), plugins.Bitshuffle()):
        path = written(
            tmp_path / "a.h5", lambda file, o=options: file.create_dataset("x", data=IMAGES, chunks=(3, 5, 4), **o)
        )
        assert np.array_equal(load_images(path).images[:, 0], IMAGES)


def test_a_file_that_is_open_already_is_read(tmp_path):
    path = written(tmp_path / "a.h5", lambda file: file.__setitem__("x", IMAGES))
    with h5py.File(path):
        assert np.array_equal(load_images(path).images[:, 0], IMAGES)


def test_free_memory_is_the_containers(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(_memory, "_GROUP", tmp_path)
    system = _memory.available()
    assert system > 2**25
    for name, value in (("memory.max", 1000), ("memory.current", 700), ("memory.stat", "anon 5\nactive_file 50")):
        (tmp_path / name).write_text(f"{value}\n")
    assert _memory.available() == 350


def write_numbers(path, numbers, layout):
    with _hdf5.new_file(path) as (file, check):
        data = file.create_dataset("x", numbers.shape, "f8", **layout)
        for begin in range(0, len(numbers), 1000):
            data[begin : begin + 1000] = numbers[begin : begin + 1000]
            check()


@pytest.mark.parametrize("layout", [{}, {"chunks": (1000,), "compression": "lzf"}])
def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path, layout):
    """HDF5 is not told: after a failed write it ends the process when this leaves."""
    path = written(tmp_path / "a.h5", lambda file: file.__setitem__("x", IMAGES))
    numbers, limits = np.random.default_rng(0).random(40_000), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*/a\.h5'"):
            write_numbers(path, numbers, layout)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]
    assert np.array_equal(load_images(path).images[:, 0], IMAGES)
