import os
import pickle
import resource
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from latentcore.data import ImageFolder, ImageSet, load_images, save_images

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
LABELS = np.array([1, 4, 8, 1, 4, 8])


@pytest.mark.parametrize("key", ["data", "images", "x"])
@pytest.mark.parametrize("label_key", ["labels", "y"])
def test_npz_under_every_name(tmp_path, key, label_key):
    np.savez(tmp_path / "a.npz", **{key: IMAGES, label_key: LABELS})
    found = load_images(tmp_path / "a.npz", labelled=True)
    assert torch.equal(found.images, torch.from_numpy(IMAGES)[:, None])
    assert found.labels.tolist() == LABELS.tolist()


def test_npy_hdf5_and_floats(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES / np.float32(255))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["y"] = IMAGES[:, None], LABELS.astype(np.uint8)
    assert torch.equal(load_images(tmp_path / "a.npy").images, torch.from_numpy(IMAGES)[:, None])
    found = load_images(tmp_path / "a.h5")
    assert torch.equal(found.images, torch.from_numpy(IMAGES)[:, None])
    assert found.labels.tolist() == LABELS.tolist()


def test_saved_images_come_back(tmp_path):
    images = ImageSet(torch.from_numpy(IMAGES)[:, None], torch.from_numpy(LABELS))
    save_images(tmp_path / "a.npz", images)
    found = load_images(tmp_path / "a.npz")
    assert torch.equal(found.images, images.images)
    assert torch.equal(found.labels, images.labels)


def test_select_and_draw():
    images = ImageSet(torch.from_numpy(IMAGES)[:, None], torch.from_numpy(LABELS))
    assert images.select([4, 1]).labels.tolist() == [1, 4, 1, 4]
    drawn = images.draw(1, seed=3)
    assert drawn.labels.tolist() == [1, 4, 8]
    assert torch.equal(drawn.images, images.draw(1, seed=3).images)
    with pytest.raises(ValueError, match=r"classes: expected some of \[1, 4, 8\], got \[7\]"):
        images.select([1, 7])
    with pytest.raises(ValueError, match=r"per_class: expected an int in \[1, 2\], got 3"):
        images.draw(3, seed=0)


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.h5"])
def test_a_damaged_byte_is_harmless_or_one_error(tmp_path, name):
    path = tmp_path / name
    if name == "a.npz":
        np.savez_compressed(path, data=IMAGES, labels=LABELS)
    elif name == "a.npy":
        np.save(path, IMAGES)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("data", data=IMAGES, compression="gzip")
    content = path.read_bytes()
    messages = []
    for place in range(0, len(content), -(-len(content) // 200)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            load_images(path, labelled=name == "a.npz")
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith(str(path)) for message in messages)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def damage(folder):
    """Files that must be refused, with a word of the message."""
    np.savez(folder / "whole.npz", data=IMAGES)
    content = (folder / "whole.npz").read_bytes()
    (folder / "short.npz").write_bytes(content[: len(content) // 2])
    (folder / "text.npz").write_text("hello")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "pickle.npy").write_bytes(pickle.dumps(Hostile()))
    np.save(folder / "objects.npy", np.array([Hostile()], dtype=object), allow_pickle=True)
    np.savez(folder / "objects.npz", data=np.array([Hostile()], dtype=object))
    np.savez(folder / "keys.npz", pictures=IMAGES)
    np.savez(folder / "shape.npz", data=IMAGES[0])
    np.savez(folder / "last.npz", data=IMAGES[..., :3][:, :, :, None].repeat(3, 3))
    np.savez(folder / "none.npz", data=IMAGES[:0])
    np.savez(folder / "labels.npz", data=IMAGES, labels=LABELS[:3])
    np.savez(folder / "float_labels.npz", data=IMAGES, labels=LABELS / 2)
    np.savez(folder / "ints.npz", data=IMAGES.astype(int))
    np.savez(folder / "range.npz", data=IMAGES.astype(float))
    np.savez(folder / "nan.npz", data=np.full((2, 3, 3), np.nan))
    (folder / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    (folder / "image.png").write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short.npz", "expected a whole .npz file of numbers"),
        ("text.npz", "expected a whole .npz file of numbers"),
        ("empty.npy", "expected a whole .npy file of numbers"),
        ("pickle.npy", "expected a whole .npy file of numbers"),
        ("objects.npy", "expected a whole .npy file of numbers"),
        ("objects.npz", "pickled objects, which are never read"),
        ("keys.npz", "expected an array named data or images or x"),
        ("shape.npz", r"images: expected shape \(N, H, W\) or \(N, C, H, W\), got \(5, 4\)"),
        ("last.npz", r"images: expected channels before rows .* \(--channels-last\), got \(6, 5, 3, 3\)"),
        ("none.npz", "images: expected at least one image"),
        ("labels.npz", r"labels: expected shape \(6,\), got \(3,\)"),
        ("float_labels.npz", "labels: expected whole numbers, got float64"),
        ("ints.npz", "images: expected uint8, or floats in"),
        ("range.npz", r"images: expected floats in \[0, 1\], got values from"),
        ("nan.npz", "got values from nan to nan"),
        ("bad.h5", "expected a whole .h5 file of numbers"),
        ("image.png", "expected a file named .npz, .npy, .h5, .hdf5"),
    ],
)
def test_damaged_and_hostile_files(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        load_images(tmp_path / name, labelled="label" in name)
    assert name in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_missing_files_and_missing_labels(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.npz"):
        load_images(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", data=IMAGES)
    with pytest.raises(ValueError, match="expected labels under labels or y"):
        load_images(tmp_path / "a.npz", labelled=True)


@contextmanager
def full_disk(size):
    """Files may have so many bytes, which the system refuses as it does where the disk is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_old_file_whole(tmp_path):
    old = ImageSet(torch.zeros(2, 1, 3, 3, dtype=torch.uint8))
    save_images(tmp_path / "a.npz", old)
    new = ImageSet(torch.randint(0, 255, (50, 1, 28, 28), dtype=torch.uint8))
    with full_disk(1000), pytest.raises(OSError, match=r"File too large") as caught:
        save_images(tmp_path / "a.npz", new)
    assert caught.value.filename == str(tmp_path / "a.npz")
    assert torch.equal(load_images(tmp_path / "a.npz").images, old.images)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_full_disk_names_the_file_of_a_cache(tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    with full_disk(1000), pytest.raises(OSError, match=r"File too large") as caught:
        ImageFolder(tmp_path, (1, 32, 32), cache_dir=tmp_path / "cache")
    assert (Path(caught.value.filename).parent, Path(caught.value.filename).suffix) == (tmp_path / "cache", ".npy")
    assert list((tmp_path / "cache").iterdir()) == []
