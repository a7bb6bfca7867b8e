"""Files that are no files, and files that promise more than anybody wants to read."""

import gzip
import io
import os
import tracemalloc
import zipfile
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from PIL import Image

from latentcore.data import ImageFolder, load_cifar10, load_folder, load_images, mnist, read_image

GIGABYTES = 2_400_000_000
ZEROS_IN_MEMORY = bytes(1_024_000)
ZEROS = gzip.compress(bytes(10_000_000), 9, mtime=0)  # ten million


def idx_header(*shape):
    return bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)


@contextmanager
def little_memory(megabytes=30):
    """What is done within takes no more."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (GIGABYTES // 784, "expected at most 200 bytes for each that is stored, got 2,39"),  # all of it zeros
        (3, r"expected 2352 bytes for shape \(3, 28, 28\), got more"),
        (2**32 - 1, "expected no more than this machine's memory"),
    ],
)
def test_a_gzip_bomb_is_not_unpacked(tmp_path, count, message):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_header(count, 28, 28), mtime=0) + ZEROS * (GIGABYTES // 10_000_000))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_header(3) + bytes(3))
    with little_memory(), pytest.raises(ValueError, match=f"gz: {message}"):
        mnist.load(tmp_path, "train")


def test_a_gzip_bomb_is_not_fetched(tmp_path):
    for name in mnist._FILES:
        (tmp_path / f"{name}.gz").write_bytes(ZEROS * (GIGABYTES // 10_000_000))
    with little_memory(150), pytest.raises(ValueError, match="expected content with MD5"):
        mnist.fetch(tmp_path / "out", tmp_path)


def test_an_idx_file_has_as_many_bytes_as_its_header_says(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_header(3) + bytes(3))
    path.write_bytes(idx_header(10_000_000, 28, 28) + bytes(784))
    with little_memory(), pytest.raises(ValueError, match=r"expected 7840000000 bytes for shape .*, got 784"):
        mnist.load(tmp_path, "train")


class Holed(io.FileIO):
    """A new file that has a hole where nothing but zeros is written."""

    def __init__(self, path):
        super().__init__(path, "w+")

    def write(self, data):
        if len(data) != len(ZEROS_IN_MEMORY):
            return super().write(data)
        self.truncate(self.seek(len(data), os.SEEK_CUR))
        return len(data)


def npz_of(path, header, content):
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("data.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)
        for block in content:
            member.write(block)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (300_000, "at most 200 bytes for each that is stored, got 307,200,000 for"),
        (3, "307,200,000 bytes where its header promises 3,072"),
        (10**15, "bytes where its header promises 1,024,000,000,000,000,000"),
    ],
)
def test_a_bomb_in_an_archive_is_not_unpacked(tmp_path, count, message):
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 32, 32)}
    npz_of(tmp_path / "a.npz", header, [ZEROS_IN_MEMORY] * 300)
    with little_memory(), pytest.raises(ValueError, match=f"a.npz: expected a whole .npz file of numbers, .*{message}"):
        load_images(tmp_path / "a.npz")


def test_no_array_is_larger_than_its_file(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (10**9, 32, 32)})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", (10**9, 32, 32), "u1", chunks=(100, 32, 32))
        file.create_dataset("y", (10**6, 32, 32), "u1", chunks=(100, 32, 32))
    for name in ("a.npy", "a.h5"):
        with little_memory(), pytest.raises(ValueError, match=rf"{name}: expected .* got "):
            load_images(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_hole_is_not_read(tmp_path, name):
    """Nothing but the headers is on the disk, wherever the system has files with holes."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (300_000, 32, 32)}
    if name == "a.npy":
        with (tmp_path / name).open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 307_200_000)
    else:
        with Holed(tmp_path / name) as file, zipfile.ZipFile(file, "w") as archive:
            npy = io.BytesIO()
            np.lib.format.write_array_header_1_0(npy, header)
            with archive.open("data.npy", "w") as member:
                member.write(npy.getvalue())
                for _ in range(300):
                    member.write(ZEROS_IN_MEMORY)
    message = f"{name}: .*at most 200 bytes for each that is stored, got 307,200,000 for"
    with little_memory(), pytest.raises(ValueError, match=message):
        load_images(tmp_path / name)


def test_surplus_bytes_are_found(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4, 4), dtype=np.uint8))
    with (tmp_path / "a.npy").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"a\.npy: expected .* got 49 bytes where its header promises 48"):
        load_images(tmp_path / "a.npy")


def test_files_of_a_terabyte_are_not_read(tmp_path):
    for name in ("test_batch.bin", "a.webp"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(10**12)  # nothing of it is on the disk
    with little_memory(), pytest.raises(ValueError, match=r"test_batch\.bin: expected no more than this machine's mem"):
        load_cifar10(tmp_path, "test")
    with little_memory(), pytest.raises(ValueError, match=r"a\.webp: expected at most 500 megabytes, got 1,000,"):
        read_image(tmp_path / "a.webp", (1, 4, 4))


READERS = {
    "train-images-idx3-ubyte": lambda path: mnist.load(path.parent, "train"),
    "train-labels-idx1-ubyte.gz": lambda path: mnist.load(path.parent, "train"),
    "test_batch.bin": lambda path: load_cifar10(path.parent, "test"),
    "data_batch_1.bin": lambda path: load_cifar10(path, "train"),
    "a.npz": load_images,
    "a.npy": load_images,
    "a.h5": load_images,
    "a.png": lambda path: read_image(path, (1, 4, 4)),
    "b.png": lambda path: load_folder(path.parent, (1, 4, 4)),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_nothing_but_regular_files_is_opened(tmp_path, name, kind):
    if "images" not in name:
        (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_header(1, 28, 28) + bytes(784))
    if "labels" not in name:
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_header(1) + bytes(1))
    path = tmp_path / name
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    if (name, kind) == ("b.png", "folder"):
        Image.new("L", (4, 4)).save(path / "in it.png")
        assert len(READERS[name](path)) == 1  # a folder of images may have any name
    elif (name, kind) == ("data_batch_1.bin", "folder"):
        with pytest.raises(FileNotFoundError, match="of the binary version"):
            READERS[name](path)
    else:
        with pytest.raises(ValueError, match=f"{name}: expected a regular file, got a {kind}"):
            READERS[name](path)


def test_a_link_to_a_regular_file_is_followed(tmp_path):
    Image.new("L", (9, 9), 7).save(tmp_path / "whole.png")
    (tmp_path / "link.png").symlink_to("whole.png")
    os.mkfifo(tmp_path / "pipe.png")
    found = ImageFolder(tmp_path, (1, 9, 9))
    assert len(found) == 2
    assert found.left_out == [f"{tmp_path / 'pipe.png'}: expected a regular file, got a pipe"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("suffix", ["npy", "json"])
def test_a_cache_of_pipes_is_none(tmp_path, suffix):
    Image.new("L", (9, 9), 7).save(tmp_path / "a.png")
    ImageFolder(tmp_path / "a.png", (1, 9, 9), cache_dir=tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob(f"*.{suffix}")
    path.unlink()
    os.mkfifo(path)
    assert ImageFolder(tmp_path / "a.png", (1, 9, 9), cache_dir=tmp_path / "cache").images.unique().tolist() == [7]
