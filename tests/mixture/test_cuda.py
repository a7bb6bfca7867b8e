"""The estimator's abilities on a card: the answers are tensors there, and those of the processor."""

import numpy as np
import pytest
import torch

from latentcore.mixture import GaussianMixture, MixturePrior, fit_many

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


def fits(X, labels):
    """Every way to fit, by name; X is a tensor on any device."""
    gaps = X.clone()
    gaps[::5, 1] = torch.nan
    halves = list(X.split(250))
    seeded = {"n_components": 3, "random_state": 0}
    yield "labels", lambda: GaussianMixture(**seeded).fit(X, labels=labels)
    yield "classes", lambda: GaussianMixture(n_components_per_class=1, random_state=0).fit(X, labels=labels)
    yield "gaps", lambda: GaussianMixture(missing="marginalize", **seeded).fit(gaps)
    yield "stream", lambda: GaussianMixture(**seeded).fit(lambda: iter(halves), sample_weight=torch.ones(len(X)))
    yield "batches", lambda: GaussianMixture(**seeded).partial_fit(halves[0]).partial_fit(halves[1])
    yield "many", lambda: fit_many(torch.stack([X, X + 1]), 3, random_state=0)


def test_fits_on_a_card_are_those_of_the_processor(blobs):
    X, labels = torch.from_numpy(blobs[0]), torch.from_numpy(np.where(np.arange(600) < 30, blobs[1], -1))
    pairs = zip(fits(X.cuda(), labels.cuda()), fits(X, labels), strict=True)
    for (name, on_card), (_, on_processor) in pairs:
        found, expected = on_card(), on_processor()
        means = torch.as_tensor(found.means_)
        np.testing.assert_allclose(means.cpu(), np.asarray(expected.means_), rtol=1e-6, atol=1e-8, err_msg=name)
        assert means.is_cuda


def test_a_prior_learns_on_a_card(blobs):
    x = torch.from_numpy(blobs[0]).float().cuda()
    prior = MixturePrior(3, 3).cuda()
    before = prior.log_prob(x).mean()
    optimizer = torch.optim.Adam(prior.parameters(), lr=0.05)
    for _ in range(50):
        optimizer.zero_grad()
        (-prior.log_prob(x).mean()).backward()
        optimizer.step()
    assert prior.log_prob(x).mean() > before + 0.5
    assert prior.sample(10)[0].is_cuda
