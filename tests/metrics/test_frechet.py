"""The Fréchet distance of samples."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from latentcore.metrics import frechet_distance


def by_root(a, b):
    """The formula as it stands, with scipy's root of a matrix."""
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(first @ second).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))


@pytest.mark.parametrize(("rows", "others", "width"), [(500, 300, 7), (40, 2000, 32), (2000, 2000, 64)])
def test_as_by_the_root_of_a_matrix(rows, others, width):
    random = np.random.default_rng(0)
    mixing = random.normal(size=(width, width))
    a = random.normal(size=(rows, width)) @ mixing + random.normal(size=width)
    b = random.normal(size=(others, width)) ** 3
    expected = by_root(a, b)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(torch.from_numpy(b), torch.from_numpy(a)) == pytest.approx(expected, rel=1e-9)


def test_what_is_known_of_it():
    features = torch.randn(400, 6, dtype=torch.float64)
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(features, features + 3) == pytest.approx(54)
    centred = features - features.mean(0)
    # of one direction it is the squared difference of the deviations
    assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * float(centred.var(0).sum()))


def test_fewer_samples_than_features():
    few, many = torch.randn(5, 50), torch.randn(300, 50)
    distance = frechet_distance(few, many)
    spread = float(few.double().var(0).sum() + many.double().var(0).sum())
    apart = float((few.double().mean(0) - many.double().mean(0)).square().sum())
    assert apart < distance < apart + spread
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-10)


def test_constant_features_and_a_far_mean():
    features = torch.randn(100, 4, dtype=torch.float64)
    features[:, 2] = 7
    assert frechet_distance(features + 1e6, features + 1e6) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(torch.zeros(3, 2), torch.ones(3, 2)) == 2
    large = 1e139 * torch.randn(20, 3, dtype=torch.float64)
    assert frechet_distance(large, large + 1e139) == pytest.approx(3e278)


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (torch.rand(5, 3), torch.rand(5, 4), ValueError, r"b: expected shape \(M, 3\)"),
        (torch.rand(1, 3), torch.rand(5, 3), ValueError, r"a: expected shape \(N, D\), N >= 2"),
        (torch.rand(5), torch.rand(5, 3), ValueError, r"a: expected shape"),
        (torch.rand(5, 3), torch.full((5, 3), torch.nan), ValueError, "b: expected finite numbers"),
        (
            torch.full((5, 3), 1e160, dtype=torch.float64),
            torch.rand(5, 3),
            ValueError,
            "a: expected numbers of at most",
        ),
        (torch.rand(5, 3) + 1j, torch.rand(5, 3), TypeError, "a: expected real numbers"),
    ],
)
def test_wrong_arguments(a, b, error, message):
    with pytest.raises(error, match=message):
        frechet_distance(a, b)
