"""The estimator's k-means against scikit-learn's, draw for draw."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans, kmeans_plusplus

from latentcore.mixture import GaussianMixture, _kmeans
from latentcore.mixture._shard import Shard


def samples(N=400, D=3, groups=5):
    random = np.random.default_rng(0)
    centres = random.normal(scale=5, size=(groups, D))
    return centres[random.integers(0, groups, N)] + random.normal(size=(N, D)), random.uniform(0.2, 3, N)


def shard(X, weight):
    return Shard(torch.from_numpy(X), None if weight is None else torch.from_numpy(weight))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("K", [1, 2, 9])
def test_seeds_are_scikit_learns(K, weighted):
    X, weight = samples()
    weight = weight if weighted else None
    expected = kmeans_plusplus(X, K, sample_weight=weight, random_state=np.random.RandomState(3))[1]
    found = _kmeans.seed(shard(X, weight), K, np.random.RandomState(3))
    assert found.tolist() == X[expected].tolist()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("K", [1, 4, 9])
def test_clusters_are_scikit_learns(K, weighted):
    X, weight = samples()
    weight = weight if weighted else None
    expected = KMeans(K, n_init=1, random_state=np.random.RandomState(3)).fit(X, sample_weight=weight)
    seeds = _kmeans.seed(shard(X, weight), K, np.random.RandomState(3))
    centers, inertia = _kmeans.cluster(shard(X, weight), seeds[None])
    np.testing.assert_allclose(centers[0], expected.cluster_centers_, rtol=1e-9, atol=1e-9)
    assert float(inertia) == pytest.approx(expected.inertia_, rel=1e-3)


def test_restarts_together_are_restarts_alone():
    x = torch.from_numpy(samples()[0])
    starts = torch.stack([x[torch.randperm(len(x))[:6]] for _ in range(5)])
    together, inertias = _kmeans.cluster(Shard(x), starts)
    for start, centers, inertia in zip(starts, together, inertias, strict=True):
        alone, alone_inertia = _kmeans.cluster(Shard(x), start[None])
        assert torch.equal(alone[0], centers)
        assert torch.equal(alone_inertia[0], inertia)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_empty_centre_goes_to_a_sample_far_from_its_own(weighted):
    X, weight = samples()
    X = np.concatenate([X, [[90.0, 90, 90]]])
    weight = np.append(weight, 0.5) if weighted else None
    starts = np.array([[0.0, 0, 0], [1, 1, 1], [1e4, 0, 0]])
    expected = KMeans(3, init=starts, n_init=1).fit(X, sample_weight=weight)
    centers, _ = _kmeans.cluster(shard(X, weight), torch.from_numpy(starts)[None])
    np.testing.assert_allclose(centers[0], expected.cluster_centers_, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fewer_places_than_components(dtype):
    X = np.array([[0.0, 0], [0, 0], [5, 5], [5, 5], [5, 5]], dtype=dtype)
    mixture = GaussianMixture(4, reg_covar=1e-3, random_state=0).fit(X)
    assert np.isfinite(mixture.means_).all()
    assert mixture.weights_.sum() == pytest.approx(1, rel=1e-6)
