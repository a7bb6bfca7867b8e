"""What users hand in is what models see, or refused."""

import numpy as np
import pytest
import torch

from latentcore.data.convert import as_bytes, as_column, as_events, as_images, as_labels, as_latents

PIXELS = np.random.default_rng(0).random((4, 6, 6)).astype(np.float32)


def test_other_processors_bytes_are_read():
    assert np.array_equal(as_images(PIXELS.astype(">f4"), (1, 6, 6))[:, 0], PIXELS)
    assert as_labels(np.array([1, 2, 300], dtype=">i2"), 3).tolist() == [1, 2, 300]
    assert as_events(PIXELS.astype(">f8")[:, None], (1, 6, 6)).shape == (4, 1, 6, 6)


def test_small_floats_are_kept_or_refused():
    dim = PIXELS * np.float32(0.0015)
    assert np.array_equal(as_images(dim, (1, 6, 6))[:, 0], dim)
    with pytest.raises(ValueError, match="images: expected floats that may be rounded to 1/255, got values from"):
        as_bytes(dim, (1, 6, 6))
    assert as_bytes(PIXELS, None).dtype == torch.uint8


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_floats_that_float32_does_not_hold_are_refused(make):
    wide = PIXELS.astype(float)
    assert np.array_equal(as_images(make(wide), (1, 6, 6))[:, 0], PIXELS)
    for fine in (wide * 1e-60, wide * 1e-310, 0.5 + 1e-10 * wide):
        with pytest.raises(ValueError, match=r"images: expected floats whose contrast .*: 4 of 4 images lose"):
            as_images(make(fine), (1, 6, 6))


ODD = {
    "float8": (lambda images: images.to(torch.float8_e4m3fn), TypeError, "real numbers, .* got torch.float8_e4m3fn"),
    "complex": (lambda images: images + 0j, TypeError, "real numbers, .* got torch.complex64"),
    "sparse": (lambda images: images.to_sparse(), TypeError, "a dense tensor, got torch.sparse_coo"),
    "nested": (
        lambda images: torch.nested.nested_tensor(list(images), layout=torch.jagged),
        TypeError,
        "a dense tensor, got a nested one",
    ),
    "meta": (lambda images: images.to("meta"), ValueError, "a tensor with numbers, got one on the device meta"),
}


@pytest.mark.parametrize(("change", "kind", "message"), ODD.values(), ids=ODD.keys())
def test_tensors_that_torch_hardly_computes_with_are_one_error(change, kind, message):
    odd = change(torch.from_numpy(PIXELS)[:, None])
    takes = {
        "images": [lambda: as_images(odd, (1, 6, 6)), lambda: as_bytes(odd, None), lambda: as_events(odd, (1, 6, 6))],
        "z": [lambda: as_latents(odd, 6)],
        "labels": [lambda: as_labels(odd, 4)],
        "scale": [lambda: as_column("scale", odd, 6)],
    }
    for name, calls in takes.items():
        for call in calls:
            with pytest.raises(kind, match=f"{name}: expected {message}"):
                call()


@pytest.mark.parametrize(
    "value", [np.array([1j, 2.0]), np.complex128(1j), 1j, 10**400], ids=["array", "scalar", "number", "huge"]
)
def test_a_column_is_of_real_numbers(value):
    with pytest.raises(TypeError, match="scale: expected "):
        as_column("scale", value, 2)


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_labels_that_int64_does_not_hold_are_refused(make):
    dtype = np.uint64 if make is np.array else torch.uint64
    assert as_labels(make([3, 2**63 - 1], dtype=dtype), 2).tolist() == [3, 2**63 - 1]
    with pytest.raises(ValueError, match=r"labels: expected numbers below 2.63, got 18446744073709551615"):
        as_labels(make([3, 2**64 - 1], dtype=dtype), 2)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_float32_does_not_hold_are_refused(value):
    with pytest.raises(ValueError, match="z: expected finite numbers that float32 holds, got numbers from "):
        as_latents(np.array([[0.0, value]]), 2)
    with pytest.raises(ValueError, match="images: expected finite numbers that float32 holds"):
        as_events(np.full((1, 1, 2, 2), value), (1, 2, 2))
