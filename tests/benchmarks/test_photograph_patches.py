"""The patches of the photographs that packages ship."""

import numpy as np
import pytest
import torch
from benchmarks.quality import photographs
from sklearn.decomposition import PCA


@pytest.fixture(scope="module")
def patches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photographs, "TRAIN_STRIDE", 100)
        patch.setattr(photographs, "TEST_STRIDE", 60)
        return photographs.patches()


def test_patches_of_ten_photographs(patches):
    for part in patches:
        assert part.dtype == torch.uint8
        assert part.shape[1:] == (3, 64, 64)
        assert len(part) > 100
    assert len(list(photographs.photographs())) == 10


def test_no_test_patch_has_pixels_of_the_training():
    # a photograph in which each column has a value of its own
    columns = np.broadcast_to(np.arange(200, dtype=np.uint8)[None, :, None], (100, 200, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photographs, "photographs", lambda: iter([photographs.Image.fromarray(columns.copy())]))
        patch.setattr(photographs, "HELD_OUT", 0.4)
        train, test = photographs.patches()
    assert int(train.max()) < 120 <= int(test.min())


def test_the_error_of_pca_is_that_of_its_projection(patches):
    train, test = (part[:60, :, :8, :8] for part in patches)
    found = photographs.pca_mse(train, test, 5)
    flat = [part.flatten(1).numpy() / 255 for part in (train, test)]
    pca = PCA(5, svd_solver="full").fit(flat[0])
    centred = flat[1] - pca.mean_
    expected = np.square(centred - centred @ pca.components_.T @ pca.components_).mean()
    assert found == pytest.approx(expected, rel=1e-3)
