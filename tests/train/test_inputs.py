"""What users hand in is what models see, or refused."""

import numpy as np
import pytest
import torch

from latentcore.train.inputs import as_bytes, as_events, as_images, as_labels, as_latents

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
