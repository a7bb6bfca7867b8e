"""Whatever torch's default device and dtype are: NumPy data are fitted, kept and asked as on the CPU."""

import pickle

import numpy as np
import pytest
import torch
from tests.mixture.streams import Pieces, hdf5, memory_map

from ambient import STATES, state
from depth import few
from latentcore import GaussianMixture
from latentcore.mixture import fit_many, load_mixture, save_mixture, sweep
from latentcore.mixture._stream import open_stream

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_cholesky_", "precisions_")
ANSWERS = ("predict", "predict_proba", "score_samples", "score", "aic", "bic", "icl")


def parameters(mixture):
    return [getattr(mixture, name) for name in PARAMETERS]


def fits(X):
    """A fit of every kind of start, option and source."""
    labels = np.where(np.arange(len(X)) % 9 == 0, np.arange(len(X)) % 3, -1)
    gaps = np.where(np.arange(X.size).reshape(X.shape) % 7 == 3, np.nan, X)
    for kind in COVARIANCE_TYPES:
        yield GaussianMixture(2, covariance_type=kind, random_state=0).fit(X)
        yield GaussianMixture(2, covariance_type=kind, random_state=0, missing="marginalize").fit(gaps)
    for start in ("k-means++", "random", "random_from_data"):
        yield GaussianMixture(2, init_params=start, random_state=0).fit(X, sample_weight=np.ones(len(X)))
    options = {"means_init": X[:2], "weights_init": [0.5, 0.5], "precisions_init": np.stack([np.eye(3)] * 2)}
    yield GaussianMixture(2, reseed=True, n_init=2, init_size=50, random_state=0, **options).fit(X)
    yield GaussianMixture(2, covariance_prior=np.eye(3), weight_concentration_prior=2.0, random_state=0).fit(X)
    yield GaussianMixture(4, random_state=0).fit(X, labels=labels)
    yield GaussianMixture(n_components_per_class=2, random_state=0).fit(Pieces(X, 30), labels=labels)


def kept(X, folder):
    """Mixtures that were kept, continued or made otherwise."""
    mixture = GaussianMixture(2, random_state=0, warm_start=True).fit(X)
    yield mixture.fit(X)
    yield mixture.partial_fit(X).partial_fit(X)
    save_mixture(folder / "mixture.pt", mixture)
    yield load_mixture(folder / "mixture.pt")
    yield load_mixture(folder / "mixture.pt").partial_fit(X)
    yield pickle.loads(pickle.dumps(mixture))
    yield GaussianMixture.from_parameters(*parameters(mixture)[:3])
    mixture.covariances_ = mixture.covariances_ * 2
    yield mixture
    for data in (memory_map(X, folder), open_stream(memory_map(X, folder)), hdf5(X, folder), iter(Pieces(X, 50))):
        yield GaussianMixture(2, random_state=0).fit(data)
    yield sweep(X, [1, 2], random_state=0).best


def said(mixture, X):
    for answer in (*ANSWERS, *(("predict_label", "predict_label_proba") if hasattr(mixture, "classes_") else ())):
        yield getattr(mixture, answer)(X)
    yield from mixture.sample(5) if mixture.random_state == 0 else ()
    yield from parameters(mixture)


def many(X):
    batch = fit_many(X.reshape(2, -1, 3), 2, random_state=0, sample_weight=np.ones((2, len(X) // 2)))
    for answer in ("predict", "predict_proba", "score_samples", "score", "aic", "bic"):
        yield getattr(batch, answer)(X.reshape(2, -1, 3))
    yield from said(batch[1], X)


def used(X, folder):
    for mixture in (*fits(X), *kept(X, folder)):
        yield from said(mixture, X)
    yield from many(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", few(STATES, 3))
def test_everything_is_the_same(name, tmp_path):
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[:80] += 4
    expected = list(used(X, tmp_path))
    with STATES[name]():
        before = state()
        found = list(used(X, tmp_path))
        assert state() == before
    for number, wanted in zip(found, expected, strict=True):
        assert type(number) is type(wanted)
        np.testing.assert_array_equal(number, wanted)


def test_a_default_device_that_was_set():
    torch.set_default_device("meta")
    try:
        mixture = GaussianMixture(2, random_state=0).fit(np.arange(20.0).reshape(10, 2))
        assert mixture.predict(np.zeros((1, 2))).shape == (1,)
    finally:
        torch.set_default_device(None)
