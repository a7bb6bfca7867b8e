"""What a caller has told torch for all its work changes nothing of a mixture, and is as it was afterwards."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from ambient import STATES, state
from latentcore import GaussianMixture
from latentcore.mixture import fit_many, sweep


def used(X):
    """Numbers of every kind of fit, and of what a fitted mixture says."""
    with np.errstate(all="raise"):
        mixture = GaussianMixture(2, random_state=0).fit(X)
    yield from (mixture.means_, mixture.covariances_, mixture.predict(X), mixture.predict_proba(X))
    yield from (mixture.score_samples(X), mixture.score(X), mixture.bic(X), mixture.aic(X), *mixture.sample(5))
    labels = np.where(np.arange(len(X)) < 6, np.arange(len(X)) % 2, -1)
    labelled = GaussianMixture(2, random_state=0).fit(X, labels=labels, sample_weight=np.ones(len(X)))
    yield from (labelled.predict_label(X), labelled.predict_label_proba(X))
    yield GaussianMixture(2, random_state=0).fit(lambda: iter(np.array_split(X, 3))).means_
    yield GaussianMixture(2, random_state=0).partial_fit(X).means_
    yield fit_many(X.reshape(2, -1, X.shape[1]), 2, random_state=0).predict(X.reshape(2, -1, X.shape[1]))
    yield sweep(X, [1, 2], random_state=0).best.means_


@pytest.mark.parametrize("name", STATES)
def test_a_mixture_is_the_same(name):
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    X[:80] += 4
    expected = list(used(X))
    with STATES[name]():
        before = state()
        found = list(used(X))
        assert state() == before
    for number, wanted in zip(found, expected, strict=True):
        assert np.array_equal(number, wanted)


def test_threads_leave_the_callers_default_dtype():
    model = GaussianMixture(2, random_state=0).fit(np.random.default_rng(0).normal(size=(60, 2)))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: model.predict(np.zeros((1, 2))), range(800)))
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(before)
