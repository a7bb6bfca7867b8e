"""What files of arrays hold is taken as it is, or refused: values, channels and labels."""

import h5py
import numpy as np
import pytest
import torch

from latentcore.data import ImageSet, TransformedImages, load_images, save_images
from latentcore.data.examples import Where
from latentcore.data.image_sets import IMAGES as KIND

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, 6, 6), dtype=np.uint8)


def test_small_floats_stay_what_they_are(tmp_path):
    dim = (RANDOM.random((40, 6, 6)) * 0.0015).astype(np.float32)
    for name, array in (("a.npy", dim), ("b.npy", dim.astype(">f8"))):
        np.save(tmp_path / name, array)
        assert torch.equal(load_images(tmp_path / name).images[:, 0], torch.from_numpy(dim))
    found = KIND.opened(Where((str(tmp_path / "a.npy"),)), None)
    learned, judged = found.train, found.test
    assert {learned.images.dtype, judged.images.dtype} == {torch.float32}
    save_images(tmp_path / "again.npz", learned)
    assert torch.equal(load_images(tmp_path / "again.npz").images, learned.images)


TOO_FINE = {
    "beyond float32": RANDOM.random((40, 6, 6)) * 1e-50,
    "hardly numbers": RANDOM.random((40, 6, 6)) * 1e-310,
    "long": RANDOM.random((40, 6, 6)).astype(np.longdouble) * np.longdouble("1e-400"),
    "about a half": 0.5 + 1e-10 * RANDOM.random((40, 6, 6)),
    "about a byte": 0.2 + 1e-12 * RANDOM.random((40, 6, 6)),
    "one among others": RANDOM.random((40, 6, 6)) * np.where(np.arange(40) == 17, 1e-50, 1)[:, None, None],
}


@pytest.mark.parametrize("case", TOO_FINE)
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_floats_that_float32_does_not_hold_are_refused(tmp_path, name, case):
    array, path = TOO_FINE[case], tmp_path / name
    if name == "a.npy":
        np.save(path, array)
    elif name == "a.npz":
        np.savez(path, data=array)
    else:
        with h5py.File(path, "w") as file:
            file["x"] = array
    many = "1 of 40" if case == "one among others" else "40 of 40"
    message = rf"{name}: images: expected floats whose contrast float32 holds, .*: {many} images lose more than 2 %"
    with pytest.raises(ValueError, match=message):
        load_images(path)


@pytest.mark.parametrize("level", [0.0, 0.3, 1e-30])
def test_an_image_of_one_level_may_be_rounded(tmp_path, level):
    array = RANDOM.random((40, 6, 6))
    array[7] = level * (1 + 2e-16 * RANDOM.random((6, 6)))  # as sums of the same numbers may differ
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(load_images(tmp_path / "a.npy").images[:, 0], array.astype(np.float32))


@pytest.mark.parametrize("array", [IMAGES * (1 / 255), (IMAGES / np.float32(255)).astype(float)])
def test_multiples_of_a_byte_are_bytes_however_they_were_computed(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(load_images(tmp_path / "a.npy").images[:, 0], IMAGES)


def test_floats_become_bytes_only_where_nothing_is_lost(tmp_path):
    for dtype in ("f2", "f4", "f8"):
        np.save(tmp_path / "a.npy", (IMAGES / 255).astype(dtype))
        found = load_images(tmp_path / "a.npy").images[:, 0]
        assert found.dtype == (torch.float32 if dtype == "f2" else torch.uint8)
        values = found if dtype == "f2" else found / 255
        assert np.array_equal(values, (IMAGES / 255).astype(dtype).astype(np.float32))


def test_pairs_round_floats_or_refuse_them():
    fine = torch.from_numpy(RANDOM.random((4, 1, 6, 6), dtype=np.float32))
    pairs = TransformedImages(ImageSet(fine), angles=[0.0])
    assert (pairs.batch(torch.arange(4))[0] - fine).abs().max() <= 0.5001 / 255
    for dim in (fine * 0.0015, 0.5 + fine * 0.004, torch.full_like(fine, 0.001)):
        for given in (ImageSet(dim), dim.numpy()):
            with pytest.raises(ValueError, match="images: expected floats that may be rounded to 1/255, got values"):
                TransformedImages(given)


def test_each_image_is_judged_before_it_is_rounded():
    some = np.arange(200)[:, None, None]
    for dim in (0.0015, 1e-30):
        images = (RANDOM.random((200, 6, 6)) * np.where(some == 0, 1, dim)).astype(np.float32)
        with pytest.raises(
            ValueError, match=r"rounded to 1/255, got values from .*: 199 of 200 images lose more than 2 %"
        ):
            TransformedImages(images)
    few = (RANDOM.random((200, 6, 6)) * np.where(some == 0, 0.0015, 1)).astype(np.float32)
    with pytest.warns(UserWarning, match="images: 1 of 200 images lose most of their contrast, rounded to 1/255"):
        assert TransformedImages(few).images[0].max() == 0


@pytest.mark.parametrize("give", [lambda images: images.to_sparse(), lambda images: images.to("meta")])
def test_tensors_without_numbers_in_memory_are_refused(give):
    images = give(torch.rand(4, 1, 6, 6))
    for take in (TransformedImages, ImageSet):
        with pytest.raises((TypeError, ValueError), match=r"images: expected a (dense )?tensor.*, got "):
            take(images)


def test_pairs_of_narrow_floats():
    fine = torch.from_numpy(RANDOM.random((4, 1, 6, 6))).bfloat16()
    assert torch.equal(TransformedImages(fine).images, TransformedImages(fine.float()).images)
    with pytest.raises(TypeError, match=r"images: expected real numbers, .* got torch\.float8_e4m3fn"):
        TransformedImages(fine.to(torch.float8_e4m3fn))
    with pytest.raises(ValueError, match=r"scale: expected \(low, high\) with 0 < low <= high, got"):
        TransformedImages(fine, scale=(1e-50, 1.0))


@pytest.mark.parametrize("shape", [(64, 64, 5), (16, 16, 200), (48, 64, 5), (28, 28, 1), (10, 12, 3), (64, 4, 4)])
def test_channels_that_are_probably_last_are_asked_about(tmp_path, shape):
    array = RANDOM.integers(0, 256, (2, *shape), dtype=np.uint8)
    path = tmp_path / "a.npy"
    np.save(path, array)
    with pytest.raises(ValueError, match=r"expected channels before rows and columns.*\(--channels-last\), got \(2, "):
        load_images(path)
    assert np.array_equal(load_images(path, channels_last=True).images, np.moveaxis(array, 3, 1))
    assert np.array_equal(load_images(path, channels_last=False).images, array)


@pytest.mark.parametrize("shape", [(5, 64, 64), (1, 28, 28), (3, 8, 12), (64, 8, 8), (4, 1, 50), (1, 1, 50), (7, 7, 7)])
def test_channels_first_are_not_asked_about(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros((2, *shape), dtype=np.uint8))
    assert load_images(tmp_path / "a.npy").images.shape == (2, *shape)


def test_channels_last_wants_four_dimensions(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    with pytest.raises(ValueError, match=r"a\.npy: images: expected shape \(N, H, W, C\), channels last, got \(40, 6,"):
        load_images(tmp_path / "a.npy", channels_last=True)
    with pytest.raises(ValueError, match="channels_last: expected a file of images beside it, got digits"):
        KIND.opened(Where(("digits",), channels_last=True), None)


@pytest.mark.parametrize("brightest", [1, 16])
def test_bytes_of_fewer_bits_are_warned_of(tmp_path, brightest):
    np.save(tmp_path / "a.npy", IMAGES % (brightest + 1))
    with pytest.warns(UserWarning, match=rf"a\.npy: images: the largest byte is {brightest}, .*{brightest}/255"):
        load_images(tmp_path / "a.npy")


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", "<u4", ">u8", "i8"])
def test_labels_of_every_width_and_order(tmp_path, dtype):
    labels = (np.arange(40) % 10).astype(dtype)
    np.savez(tmp_path / "a.npz", data=IMAGES, labels=labels)
    assert load_images(tmp_path / "a.npz").labels.tolist() == labels.tolist()


WRONG_LABELS = {
    "too large": (np.full(40, 2**64 - 1, dtype=np.uint64), "expected numbers below 2.63, got 18446744073709551615"),
    "strings": (np.array(["7"] * 40), "expected whole numbers, got <U1"),
    "bytes": (np.array([b"7"] * 40), "expected whole numbers, got .S1"),
    "floats": (np.arange(40.0), "expected whole numbers, got float64"),
    "another number": (np.arange(39), r"expected shape \(40,\), got \(39,\)"),
    "a column": (np.arange(40)[:, None], r"expected shape \(40,\), got \(40, 1\)"),
    "objects": (np.array([None] * 40), "pickled objects, which are never read"),
}


@pytest.mark.parametrize("case", WRONG_LABELS)
def test_labels_are_right_or_refused_and_stop_nobody_else(tmp_path, case):
    labels, message = WRONG_LABELS[case]
    np.savez(tmp_path / "a.npz", data=IMAGES, y=labels)
    with pytest.raises(ValueError, match=message):
        load_images(tmp_path / "a.npz", labelled=True)
    with pytest.warns(UserWarning, match=f"{message}.*; the images are read without labels"):
        found = load_images(tmp_path / "a.npz")
    assert (found.labels, len(found)) == (None, 40)


def test_what_the_disk_does_not_give_is_not_called_damaged(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", IMAGES)

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(np.lib.format, "read_array", fail)
    with pytest.raises(OSError, match=r"Input/output error: '.*a\.npy'"):
        load_images(tmp_path / "a.npy")


def test_strings_of_hdf5_are_no_labels(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["y"] = IMAGES, ["seven"] * 40
    with pytest.warns(UserWarning, match="labels"):
        assert load_images(tmp_path / "a.h5").labels is None
