"""Files of plain numbers: IDX (plain and gzipped), .npy, .npz, CIFAR's records."""

import gzip
import io
import zipfile

import numpy as np
from tests.damaged.changes import changed

from latentcore.data import load_cifar10, load_images, mnist


def whole_files(folder):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 10
    for prefix, pack, end in (("train", bytes, ""), ("t10k", lambda content: gzip.compress(content, mtime=0), ".gz")):
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{prefix}-{name}-ubyte{end}").write_bytes(pack(header + array.tobytes()))
    np.save(folder / "bytes.npy", images)
    np.save(folder / "floats.npy", images / np.float32(255))
    np.savez(folder / "stored.npz", images=images, labels=labels)
    np.savez_compressed(folder / "packed.npz", images=images / 255, labels=labels.astype("i8"))
    np.savez(folder / "text.npz", images=images, labels=labels.astype("U3"))
    random.integers(0, 256, (20, 3073), dtype=np.uint8).tofile(folder / "test_batch.bin")
    return sorted(path.name for path in folder.iterdir())


def damage(path, random):
    """Half of what has a checksum is packed after it has been damaged, so that what is within is looked at."""
    again = {".gz": _in_gzip, ".npz": _in_archive}.get(path.suffix)
    if again is not None and random.random() < 0.5:
        path.write_bytes(again(path.read_bytes(), random))
    else:
        path.write_bytes(changed(path.read_bytes(), random, head=200))


def _in_gzip(content, random):
    return gzip.compress(changed(gzip.decompress(content), random, head=20), mtime=0)


def _in_archive(content, random):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        kind = archive.infolist()[0].compress_type
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    one = random.choice(list(members))
    members[one] = changed(members[one], random, head=100)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind) as archive:
        for name, inside in members.items():
            archive.writestr(name, inside)
    return packed.getvalue()


def readers(name, number):
    if name.startswith(("train", "t10k")):
        return {"mnist": lambda path: mnist.load(path.parent, "train" if name.startswith("train") else "test")}
    if name.endswith(".bin"):
        return {"cifar": lambda path: load_cifar10(path.parent, "test")}
    return {"images": load_images, "labelled": lambda path: load_images(path, labelled=True)}
