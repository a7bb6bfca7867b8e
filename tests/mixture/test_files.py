"""Mixture files: written and read back, and everything that is none is refused."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from latentcore.mixture import GaussianMixture, load_mixture, save_mixture


class Dangerous:
    """What a hostile pickle holds: a call."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.fixture
def labels(blobs):
    return np.where(np.arange(len(blobs[1])) < 15, blobs[1] + 2, -1)


@pytest.fixture
def saved(blobs, labels, tmp_path):
    """A file and the dict in it."""
    path = tmp_path / "mixture.pt"
    save_mixture(path, GaussianMixture(4, random_state=0).fit(blobs[0], labels=labels))
    return path, torch.load(path, weights_only=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_what_was_saved_is_loaded(blobs, labels, tmp_path, covariance_type, dtype):
    X = blobs[0].astype(dtype)
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X, labels=labels)
    save_mixture(tmp_path / "mixture.pt", model)
    loaded = load_mixture(tmp_path / "mixture.pt")
    assert (loaded.covariance_type, loaded.n_components, loaded.n_features_in_) == (covariance_type, 3, 3)
    for method in ("predict_proba", "score_samples", "predict_label", "predict_label_proba"):
        assert np.array_equal(getattr(loaded, method)(X), getattr(model, method)(X))
    assert loaded.means_.dtype == dtype
    np.testing.assert_allclose(loaded.covariances_, model.covariances_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loaded.precisions_, model.precisions_, rtol=1e-4, atol=1e-5)
    assert loaded.sample(3)[0].shape == (3, 3)


def test_without_labels_and_from_tensors(blobs, tmp_path):
    model = GaussianMixture(2, random_state=0).fit(torch.from_numpy(blobs[0]))
    save_mixture(tmp_path / "mixture.pt", model)
    loaded = load_mixture(tmp_path / "mixture.pt")
    assert np.array_equal(loaded.predict(blobs[0]), model.predict(blobs[0]))
    assert not hasattr(loaded, "classes_")


def test_an_unfitted_mixture_leaves_the_old_file(saved):
    path, _ = saved
    before = path.read_bytes()
    with pytest.raises(NotFittedError):
        save_mixture(path, GaussianMixture())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_code_is_never_executed(tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "gmm.pkl"
    for write in (pickle.dump, torch.save):
        with path.open("wb") as file:
            write({"weights": Dangerous(marker)}, file)
        with pytest.raises(ValueError, match=r"gmm\.pkl: expected a whole file of tensors"):
            load_mixture(path)
        assert not marker.exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_a_truncated_file(saved, share):
    path, _ = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"mixture\.pt: expected a whole file of tensors"):
        load_mixture(path)


def test_other_files(tmp_path):
    path = tmp_path / "other"
    path.write_text("Predicted_Label\n1\n4\n")
    with pytest.raises(ValueError, match="other: expected a whole file of tensors"):
        load_mixture(path)
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ValueError, match=r"other: the content: expected a dict with .* got \['bias', 'weight'\]"):
        load_mixture(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(ValueError, match="got Tensor"):
        load_mixture(path)
    with pytest.raises(FileNotFoundError):
        load_mixture(tmp_path / "nowhere")


CHANGES = {
    "a key too few": (lambda c: c.pop("means"), "the content: expected a dict with"),
    "a key too many": (lambda c: c.update(extra=torch.zeros(1)), "the content: .*extra"),
    "labels without table": (lambda c: c.pop("component_label_proba"), "the content: expected"),
    "no tensor": (lambda c: c.update(means=[1.0]), "means: expected a dense tensor, got list"),
    "sparse": (lambda c: c.update(means=c["means"].to_sparse()), "means: expected a dense tensor"),
    "sparse, beyond its end": (
        lambda c: c.update(means=torch.sparse_coo_tensor([[9], [0]], [1.0], (3, 2), check_invariants=False)),
        "expected a whole file of tensors written by torch.save, got another file: size is inconsistent with indices",
    ),
    "integers": (lambda c: c.update(means=c["means"].long()), "means: expected float32 or float64"),
    "mixed dtypes": (lambda c: c.update(weights=c["weights"].float()), "weights: expected the dtype of means"),
    "NaN": (lambda c: c["means"].fill_(torch.nan), "means: expected finite numbers, got NaN"),
    "dimensions": (lambda c: c.update(means=c["means"][0]), r"means: expected shape \(K, D\), got \(3,\)"),
    "nothing": (lambda c: c.update(means=c["means"][:, :0]), r"means: expected shape \(K, D\), got \(4, 0\)"),
    "weights' length": (lambda c: c.update(weights=c["weights"][:3]), r"weights: expected shape \(4,\), got \(3,\)"),
    "weights' sum": (lambda c: c["weights"].mul_(2), "weights: expected numbers >= 0 that sum to 1"),
    "weights' sign": (lambda c: c["weights"].sub_(1), "weights: expected numbers >= 0"),
    "factors' shape": (
        lambda c: c.update(precisions_cholesky=c["precisions_cholesky"][:, :2]),
        r"precisions_cholesky: expected shape \(4, 3, 3\), got \(4, 2, 3\)",
    ),
    "factors' sign": (lambda c: c["precisions_cholesky"].neg_(), "precisions_cholesky: expected a positive diagonal"),
    "type": (lambda c: c["covariance_type"].fill_(9), r"covariance_type: expected a uint8 number in 0 \.\.\. 3"),
    "another type": (lambda c: c["covariance_type"].fill_(2), r"precisions_cholesky: expected shape \(4, 3\)"),
    "type's dtype": (lambda c: c.update(covariance_type=torch.tensor(0.0)), "covariance_type: expected a uint8"),
    "classes' dtype": (lambda c: c.update(classes=c["classes"].double()), "classes: expected int64"),
    "classes' length": (
        lambda c: c.update(classes=c["classes"][:2]),
        r"component_label_proba: expected shape \(4, 2\)",
    ),
    "classes twice": (lambda c: c["classes"].fill_(1), "classes: expected different class numbers"),
    "table": (lambda c: c["component_label_proba"].mul_(2), "component_label_proba: expected rows >= 0 that sum to 1"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_values_that_are_no_mixture(saved, change, message):
    path, content = saved
    change(content)
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"mixture\.pt: " + message):
        load_mixture(path)
