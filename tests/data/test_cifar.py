"""Files of CIFAR: what they hold is read exactly, what is damaged or pickled is refused."""

import os
import pickle

import numpy as np
import pytest
import torch

from latentcore.data import load_cifar10, load_cifar100

BATCHES = [f"data_batch_{i}.bin" for i in range(1, 6)]


def records(n, classes, seed=0):
    """Records (n, labels and pixels) of random pixels."""
    generator = np.random.default_rng(seed)
    labels = [generator.integers(0, count, n) for count in classes]
    return np.column_stack([*labels, generator.integers(0, 256, (n, 3072))]).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """CIFAR-10's folder with three images a file, and what the files hold."""
    content = [records(3, [10], seed) for seed in range(6)]
    for name, batch in zip([*BATCHES, "test_batch.bin"], content, strict=True):
        batch.tofile(tmp_path / name)
    return tmp_path, content


def test_a_folder_is_read_in_the_order_of_its_files(folder):
    path, content = folder
    train, test = load_cifar10(path, "train"), load_cifar10(str(path), "test")
    expected = np.concatenate(content[:5])
    assert train.images.shape == (15, 3, 32, 32)
    assert train.images.is_contiguous()
    assert train.labels.tolist() == expected[:, 0].tolist()
    assert np.array_equal(train.images.flatten(1), expected[:, 1:])
    assert np.array_equal(test.images.flatten(1), content[5][:, 1:])


def test_red_comes_first_and_rows_run_down(tmp_path):
    record = np.zeros((1, 3073), dtype=np.uint8)
    record[0, [0, 1 + 5 * 32 + 7, 1 + 1024]] = 9, 200, 100
    record.tofile(tmp_path / "test_batch.bin")
    image = load_cifar10(tmp_path, "test").images[0]
    assert image.nonzero().tolist() == [[0, 5, 7], [1, 0, 0]]
    assert image[0, 5, 7] == 200


def test_a_file_is_read_alone(folder):
    path, content = folder
    assert load_cifar10(path / "data_batch_2.bin", "train").labels.tolist() == content[1][:, 0].tolist()
    (path / "data_batch_2.bin").rename(path / "mine.bin")
    assert len(load_cifar10(path / "mine.bin", "test")) == 3
    with pytest.raises(ValueError, match=r"data_batch_1\.bin: expected a file of split 'test', got one of split 'tr"):
        load_cifar10(path / "data_batch_1.bin", "test")


def test_both_labels_of_cifar100(tmp_path):
    content = {"train": records(4, [20, 100]), "test": records(2, [20, 100], 1)}
    for name, batch in content.items():
        batch.tofile(tmp_path / f"{name}.bin")
    for split, batch in content.items():
        fine, coarse = load_cifar100(tmp_path, split), load_cifar100(tmp_path, split, labels="coarse")
        assert fine.labels.tolist() == batch[:, 1].tolist()
        assert coarse.labels.tolist() == batch[:, 0].tolist()
        assert np.array_equal(fine.images.flatten(1), batch[:, 2:])
        assert torch.equal(fine.images, coarse.images)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("name", "path"),
    [("data_batch_1", "."), ("data_batch_1", "data_batch_1"), ("data_batch_1.bin", "data_batch_1.bin")],
)
def test_pickles_are_refused_and_never_read(tmp_path, monkeypatch, name, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps({b"data": np.zeros((2, 3072)), b"labels": Hostile()}, protocol=2))
    with pytest.raises(ValueError, match=r"expected CIFAR's binary version.*got the pickled") as caught:
        load_cifar10(path, "train")
    assert str(caught.value).startswith(f"{path}: ")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected whole records of 3073 bytes, at least one, got 0 bytes"),
        (bytes(3074), "expected whole records of 3073 bytes, at least one, got 3074 bytes"),
        (bytes(3073) + bytes([10]) + bytes(3072), "expected labels from 0 to 9, got 10 in record 1"),
        (bytes([128, 2]) + bytes(3071), "expected labels from 0 to 9, got 128 in record 0"),
    ],
)
def test_damaged_files_are_named(folder, content, message):
    path, _ = folder
    (path / "data_batch_4.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"data_batch_4.bin: {message}"):
        load_cifar10(path, "train")


@pytest.mark.parametrize(
    ("labels", "message"), [([20, 0], "from 0 to 19, got 20"), ([0, 100], "from 0 to 99, got 100")]
)
def test_wrong_labels_of_cifar100(tmp_path, labels, message):
    (tmp_path / "test.bin").write_bytes(bytes(labels) + bytes(3072))
    for kind in ("fine", "coarse"):
        with pytest.raises(ValueError, match=f"test.bin: expected labels {message} in record 0"):
            load_cifar100(tmp_path, "test", labels=kind)


def test_missing_files_are_named(folder):
    path, _ = folder
    (path / "data_batch_5.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected the file data_batch_5\.bin of the binary version"):
        load_cifar10(path, "train")
    assert len(load_cifar10(path, "test")) == 3
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_cifar10(path / "nowhere", "train")
    (path / "train").mkdir()  # no pickle
    with pytest.raises(FileNotFoundError, match=r"train\.bin"):
        load_cifar100(path, "train")


def test_wrong_words(tmp_path):
    with pytest.raises(ValueError, match="split: expected one of 'train', 'test', got 'validation'"):
        load_cifar10(tmp_path, "validation")
    with pytest.raises(ValueError, match="labels: expected one of 'coarse', 'fine', got 'both'"):
        load_cifar100(tmp_path, "train", labels="both")
