import numpy as np
import pytest
import torch

import latentcore
from benchmarks import peers
from latentcore import ops, reference

mixture = peers.module("sklearn.mixture")


def blobs(N, D, K):
    """Samples of K groups that overlap, float32, and rough means of theirs."""
    centres = 2 * torch.randn(K, D)
    return torch.randn(N, D) + centres[torch.randint(K, (N,))], centres + 0.5 * torch.randn(K, D)


def shape_of(N, D, K, covariance_type):
    count = f"{N // 1_000_000}M" if N >= 1_000_000 else f"{N // 1000}k"
    return f"{count}×{D} K={K} {covariance_type}"


def start(means, covariance_type):
    """Weights, means and factors of the first iteration."""
    K, D = means.shape[-2:]
    shape = means.shape[:-2] + reference.covariance_shape(K, D, covariance_type)
    factors = torch.eye(D).expand(shape) if covariance_type in ("full", "tied") else torch.ones(shape)
    return torch.full(means.shape[:-1], 1 / K), means, factors.contiguous()


def iteration(module, x, parameters, covariance_type):
    """One EM iteration: the new parameters."""
    weights, means, factors = (value.to(x.dtype) for value in parameters)
    statistics = module.gmm_statistics(x, weights, means, factors, covariance_type)
    return module.gmm_m_step(statistics, means, covariance_type)


def sklearn_model(K, covariance_type, parameters, **options):
    model = mixture.GaussianMixture(K, covariance_type=covariance_type, **options)
    model.weights_, model.means_, model.precisions_cholesky_ = (value.numpy() for value in parameters)
    return model


def sklearn_iteration(x, parameters, covariance_type):
    array = x.numpy()

    def step():
        model = sklearn_model(len(parameters[1]), covariance_type, parameters)
        model._m_step(array, model._e_step(array)[1])
        return model.weights_, model.means_, model.covariances_, model.precisions_cholesky_

    return step


def least_work(N, D, K, covariance_type):
    """FLOP of a density and a moment: a triangle each for full, a line for diag."""
    return 2 * N * K * (D * (D + 1) if covariance_type == "full" else 4 * D)


@pytest.mark.parametrize(
    ("N", "D", "K", "covariance_type", "at_least", "goal"),
    [
        (1_000_000, 2, 3, "full", 100, 150),
        (60_000, 2, 10, "full", 80, 120),
        (1_000_000, 16, 32, "full", 25, 35),
        (1_000_000, 16, 32, "diag", 8, 12),
        (60_000, 32, 10, "full", 10, 15),
        (200_000, 64, 64, "full", 5, 8),
    ],
)
def test_em_iteration(timed, N, D, K, covariance_type, at_least, goal):
    x, means = blobs(N, D, K)
    parameters = start(means, covariance_type)
    contestants = {
        "latentcore": lambda: iteration(ops, x, parameters, covariance_type),
        "twin": lambda: iteration(reference, x, parameters, covariance_type),
    }
    if N * K * D < 50_000_000:  # beyond, compiling the unrolled components takes minutes and the memory
        torch.compiler.reset()
        compiled = torch.compile(lambda: iteration(reference, x, parameters, covariance_type))
        contestants["compile"] = compiled
    if mixture:
        contestants["scikit-learn"] = sklearn_iteration(x, parameters, covariance_type)
    timed(
        operator="EM iteration",
        shape=shape_of(N, D, K, covariance_type),
        contestants=contestants,
        against=("scikit-learn",),
        tolerance=5e-3,  # scikit-learn's and the twin's sums of a million terms are float32
        bytes=x.nbytes,
        flop=least_work(N, D, K, covariance_type),
        at_least=at_least,
        goal=goal,
    )


@pytest.mark.parametrize(("N", "D", "K", "at_least", "goal"), [(1_000_000, 2, 3, 40, 60), (1_000_000, 16, 32, 20, 35)])
def test_predict_proba(timed, N, D, K, at_least, goal):
    x, means = blobs(N, D, K)
    array = x.numpy()
    ours = latentcore.GaussianMixture(K, reg_covar=1e-6, means_init=means.numpy(), max_iter=1, tol=1e9).fit(
        array[:1000]
    )
    fitted = [torch.from_numpy(np.asarray(v)) for v in (ours.weights_, ours.means_, ours.precisions_cholesky_)]
    contestants = {
        "latentcore": lambda: ours.predict_proba(array),
        "twin": lambda: reference.gmm_e_step(x, *(v.float() for v in fitted))[1].exp(),
    }
    if mixture:
        model = sklearn_model(K, "full", fitted)
        model.covariances_, model.n_features_in_ = ours.covariances_, D
        contestants["scikit-learn"] = lambda: model.predict_proba(array)
    timed(
        operator="predict_proba",
        shape=shape_of(N, D, K, "full"),
        contestants=contestants,
        against=("scikit-learn",),
        tolerance=1e-3,
        bytes=x.nbytes + 4 * N * K,
        flop=N * K * D * (D + 1),
        at_least=at_least,
        goal=goal,
    )


def fits(x, result, **options):
    """Whole fits from k-means on: what `result` takes of the mixture."""
    estimators = {"latentcore": latentcore.GaussianMixture}
    if mixture:
        estimators["scikit-learn"] = mixture.GaussianMixture
    array = x.numpy()
    return {name: lambda e=e: result(e(random_state=0, **options).fit(array)) for name, e in estimators.items()}


FITS = [(1_000_000, 2, 3, 20, 50), (1_000_000, 16, 32, 12, 25)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("N", "D", "K", "at_least", "goal"), FITS)
def test_fit(timed, N, D, K, at_least, goal):
    x, _ = blobs(N, D, K)
    timed(
        operator="fit, 20 iterations",
        shape=shape_of(N, D, K, "full"),
        contestants=fits(x, lambda m: np.asarray(m.lower_bound_), n_components=K, max_iter=20, tol=0.0),
        against=("scikit-learn",),
        tolerance=1e-2,  # float32 draws may lead to another maximum
        bytes=21 * x.nbytes,
        flop=20 * least_work(N, D, K, "full"),
        at_least=at_least,
        goal=goal,
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_initialisation(timed):
    """K-means alone: the mixture before its first iteration."""
    N, D, K = 1_000_000, 16, 32
    x, _ = blobs(N, D, K)
    timed(
        operator="fit, 0 iterations",
        shape=shape_of(N, D, K, "full"),
        contestants=fits(x, lambda m: np.sort(m.weights_), n_components=K, max_iter=0),
        against=("scikit-learn",),
        tolerance=0.2,  # float32 draws may lead to other clusters
        bytes=x.nbytes,
        at_least=5,
        goal=10,
    )


def test_many_mixtures(timed):
    B, N, D, K, iterations, few = 1000, 256, 2, 4, 50, 20
    x, means = (torch.stack(parts) for parts in zip(*(blobs(N, D, K) for _ in range(B)), strict=True))

    def batched(module):
        parameters = start(means, "full")
        for _ in range(iterations):
            found = iteration(module, x, parameters, "full")
            parameters = found.weights, found.means, found.precisions_cholesky
        return found.means[:few]

    def loop():
        results = []
        for samples, centres in zip(x[:few].numpy(), means[:few].numpy(), strict=True):
            model = mixture.GaussianMixture(
                K, means_init=centres, weights_init=np.full(K, 1 / K, np.float32), precisions_init=identity,
                max_iter=iterations, tol=0.0,
            )  # fmt: skip
            results.append(model.fit(samples).means_)
        return np.stack(results)

    identity = np.tile(np.eye(D, dtype=np.float32), (K, 1, 1))
    contestants = {"latentcore": lambda: batched(ops), "twin": lambda: batched(reference)}
    if mixture:
        contestants["scikit-learn"] = loop
    timed(
        operator="50 EM iterations of many mixtures",
        shape=f"{B}×{N}×{D} K={K} full",
        contestants=contestants,
        against=("scikit-learn",),
        scale={"scikit-learn": B / few},
        tolerance=1e-2,  # 50 iterations of float32 sums apart
        bytes=iterations * x.nbytes,
        flop=iterations * least_work(B * N, D, K, "full"),
        at_least=150,
        goal=300,
    )
