"""Splits, normalisation and what whole files hold."""

import json

import numpy as np
import pytest
import torch
from tests.data.egamma_events import CHANNELS, SIDE, events, write

from latentcore.data.egamma import EgammaFiles, Normalisation, inspect


def test_splits_are_stratified_and_come_back(tmp_path, three):
    files, _, labels = three
    for fractions in ((0.8, 0.2), (0.8, 0.1, 0.1)):
        split = files.split(fractions, seed=1)
        assert np.sort(np.concatenate(split.parts)).tolist() == list(range(len(files)))
        for part, share in zip(split.parts, fractions, strict=True):
            for label in (0, 1):
                expected = share * (labels == label).sum()
                assert abs((labels[part] == label).sum() - expected) <= 1
        again = files.split_of(json.loads(json.dumps(split.to_dict())))
        assert again == split
        assert all(map(np.array_equal, again.parts, split.parts))
        assert not np.array_equal(files.split(fractions, seed=2).train, split.train)
    assert split.validation is split.parts[1]
    with pytest.raises(ValueError, match="a split in three parts"):
        _ = files.split().validation
    other = EgammaFiles(write(tmp_path / "other.h5", *events(100, 9)))
    with pytest.raises(ValueError, match=r"other\.h5: expected the files that were split"):
        other.split_of(split.to_dict())
    for wrong in ((1.0,), (0.5, 0.4), (1.2, -0.2), (float("nan"), 0.5)):
        with pytest.raises(ValueError, match="fractions: expected two or three positive numbers"):
            files.split(wrong)
    with pytest.raises(ValueError, match="in every part"):
        files.split((0.9999, 0.0001))


def test_normalisation_is_numpys(three):
    files, images, _ = three
    rows = files.split().train
    found, x = files.normalisation(rows), images[rows].double().numpy()
    own = [x[:, c] for c in range(CHANNELS)]
    hit = [c[c != 0] for c in own]
    expected = {
        "mean": [c.mean() for c in own],
        "std": [c.std() for c in own],
        "nonzero_mean": [c.mean() for c in hit],
        "nonzero_std": [c.std() for c in hit],
        "maximum": [abs(c).max() for c in own],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=1e-12)
    batch = images[:9]
    mean, std = (torch.tensor(expected[k], dtype=torch.float32).view(1, -1, 1, 1) for k in ("mean", "std"))
    torch.testing.assert_close(found(batch), (batch - mean) / std)
    assert torch.equal(found(batch, "nonzero") == 0, batch == 0)
    assert float(found(images, "maximum").abs().max()) == pytest.approx(1)
    assert Normalisation.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(ValueError, match="values: expected mean, std"):
        Normalisation.from_dict({"mean": [1.0]})
    with pytest.raises(ValueError, match="how: expected one of"):
        found(batch, "other")


def test_normalisation_of_zeros_and_negative_numbers(tmp_path):
    images = np.zeros((10, 4, 4, 2))
    images[3, 0, 0, 1] = -5
    found = EgammaFiles(write(tmp_path / "a.h5", images, np.zeros(10))).normalisation()
    assert found.maximum == (0.0, 5.0)
    assert found.nonzero_std == (0.0, 0.0)
    assert torch.isfinite(found(torch.ones(1, 2, 4, 4))).all()


def test_load_has_the_rows_and_dtypes_asked_for(tmp_path):
    images, labels = events(50)
    files = EgammaFiles(write(tmp_path / "a.h5", images + 1e-9, labels, dtype="f8"))
    exact = torch.from_numpy(images + 1e-9).permute(0, 3, 1, 2)
    rows = np.array([0, 7, 49])
    found = files.load(rows, dtype=None)
    assert found.images.dtype == torch.float64
    assert torch.equal(found.images, exact[rows])
    assert found.labels.tolist() == labels[rows].tolist()
    assert found.rows.tolist() == rows.tolist()
    assert torch.equal(files.load(dtype=torch.float16).images, exact.half())
    mixed = EgammaFiles([files.files[0].path, write(tmp_path / "b.h5", images, labels)])
    with pytest.raises(TypeError, match="dtype: expected one for all files, got float32, float64"):
        mixed.load(dtype=None)
    with pytest.raises(TypeError, match="dtype: expected floating point or uint8"):
        files.load(dtype=torch.int64)
    for wrong in ([3, 2], [1, 1], [-1], [50], []):
        with pytest.raises(ValueError, match="rows: expected"):
            files.load(np.array(wrong, dtype=np.int64))
    with pytest.raises(TypeError, match="rows: expected whole numbers"):
        files.load(np.array([0.5]))


def test_inspect_says_what_a_file_holds(tmp_path):
    images, labels = events(200)
    layout = {"chunks": (50, SIDE, SIDE, CHANNELS), "compression": "gzip", "shuffle": True}
    path = write(tmp_path / "a.h5", images, labels, label_dtype="i8", **layout)
    found = inspect(path)
    assert (found["shape"], found["dtype"], found["label_dtype"]) == (images.shape, "float32", "int64")
    assert (found["chunks"], found["compression"]) == (layout["chunks"], ["shuffle", "gzip"])
    assert found["classes"] == {"photon": int((labels == 0).sum()), "electron": int((labels == 1).sum())}
    assert (found["minimum"], found["maximum"]) == ([0, 0], [images[..., c].max() for c in (0, 1)])
    np.testing.assert_allclose(found["zeros"], [(images[..., c] == 0).mean() for c in (0, 1)])
    expected = np.stack([images[labels == label].mean(0) for label in (0, 1)]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found["mean_images"], expected, rtol=1e-12)
