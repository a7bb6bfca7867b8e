"""Arrays beside the samples are taken in every order, byte order and dtype, as the samples are."""

import weakref

import numpy as np
import pytest
from tests.mixture.streams import Pieces, assert_same, memory_map

from latentcore.mixture import GaussianMixture, _arrays, fit_many, open_stream

KINDS = {
    "negative strides": lambda a: a[::-1].copy()[::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "object": lambda a: a.astype(object),
    "not aligned": lambda a: np.rec.fromarrays([a.ravel() > 0, a.ravel()], names="b,a")["a"].reshape(a.shape),
    "list": lambda a: a.tolist(),
}
REAL = {"longdouble": lambda a: a.astype(np.longdouble), "float16": lambda a: a.astype(np.float16)}
every_kind = pytest.mark.parametrize("kind", [*KINDS.values(), *REAL.values()], ids=[*KINDS, *REAL])


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0].astype(np.float16).astype(float)  # numbers that all dtypes have


def options(kind=np.asarray):
    precisions = np.stack([np.eye(3), 2 * np.eye(3)])
    yield {"means_init": kind(np.array([[0.0, 0, 0], [4, 4, 0]]))}
    yield {"weights_init": kind(np.array([0.25, 0.75]))}
    yield {"precisions_init": kind(precisions)}
    yield {"covariance_prior": kind(2 * np.eye(3))}


@every_kind
def test_options(X, kind):
    for given, plain in zip(options(kind), options(), strict=True):
        fits = (GaussianMixture(2, random_state=0, **some).fit(X) for some in (given, plain))
        assert_same(*fits, 0)


def test_whole_numbers(X):
    given = {"means_init": np.array([[0, 0, 0], [4, 4, 0]]), "covariance_prior": np.eye(3, dtype=np.int8)}
    plain = {name: value.astype(float) for name, value in given.items()}
    weight = np.arange(600, dtype=np.uint16) % 3
    found = GaussianMixture(2, random_state=0, **given).fit(X, sample_weight=weight)
    assert_same(found, GaussianMixture(2, random_state=0, **plain).fit(X, sample_weight=weight.astype(float)), 0)


@every_kind
def test_weights(X, kind):
    weight = np.arange(600) % 3 / 2
    expected = GaussianMixture(2, random_state=0).fit(X, sample_weight=weight)
    for data in (X, Pieces(X, 100)):
        found = GaussianMixture(2, random_state=0).fit(data, sample_weight=kind(weight))
        assert_same(found, expected)
        assert found.score(data, sample_weight=kind(weight)) == pytest.approx(expected.score(X, sample_weight=weight))


@every_kind
def test_samples_of_streams_and_of_many(X, kind):
    assert_same(
        GaussianMixture(2, random_state=0).fit(lambda: iter([kind(X[:300]), kind(X[300:])])),
        GaussianMixture(2, random_state=0).fit(X),
        1e-2 if kind is REAL["float16"] else 1e-9,
    )
    many = X.reshape(3, 200, 3)[::-1]
    weight = np.ones((3, 200))
    found = fit_many(kind(many), 2, random_state=0, sample_weight=kind(weight))
    tolerance = 1e-2 if kind is REAL["float16"] else 1e-9
    np.testing.assert_allclose(found.means_, fit_many(many, 2, random_state=0).means_, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_labels(X, blobs, kind):
    labels = np.where(np.arange(600) % 9 == 0, blobs[1], -1)
    expected = GaussianMixture(3, random_state=0).fit(X, labels=labels)
    for data in (X, Pieces(X, 100)):
        assert_same(GaussianMixture(3, random_state=0).fit(data, labels=kind(labels)), expected)


@every_kind
def test_fitted_attributes(X, kind):
    fitted = GaussianMixture.from_parameters([0.25, 0.75], [[0, 0, 0], [4, 4, 0]], [1.0, 0.25], "spherical")
    expected = (fitted.predict_proba(X), fitted.score(X), fitted.sample(5)[1].shape)
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        setattr(fitted, name, kind(np.asarray(getattr(fitted, name))))
    assert np.array_equal(fitted.predict_proba(X), expected[0])
    assert (fitted.score(X), fitted.sample(5)[1].shape) == expected[1:]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"sample_weight": np.full(600, "a")}, TypeError, "sample_weight: expected real numbers, got <U1"),
        ({"sample_weight": np.full(600, "a", object)}, TypeError, "sample_weight: expected real numbers, got object"),
        ({"sample_weight": np.full(600, None)}, ValueError, "sample_weight: expected finite numbers"),
        ({"sample_weight": [[1, 2], [3]]}, ValueError, "sample_weight: expected real numbers, got parts of different"),
        ({"sample_weight": np.ones(600, complex)}, TypeError, "sample_weight: expected real numbers, got complex128"),
        ({"labels": np.full(600, 0.5, object)}, TypeError, "labels: expected integers, got object"),
        (
            {"labels": np.full(600, 2**63, np.uint64)},
            ValueError,
            "labels: expected an int in .*, got 9223372036854775808",
        ),
        ({"labels": [2**70] * 600}, ValueError, "labels: expected an int in"),
        ({"labels": [[1, 2], [3]]}, ValueError, "labels: expected integers, got parts of different shapes"),
        ({"labels": 3}, ValueError, r"labels: expected shape \((N|600),\), got \(\)"),
    ],
)
def test_what_is_refused(X, given, error, message):
    for data in (X, Pieces(X, 100)):
        with pytest.raises(error, match=message):
            GaussianMixture(2).fit(data, **given)


def test_read_only_samples_are_not_copied(X, tmp_path):
    """As pandas, and joblib in its workers, hand them on."""
    for array in (X.view(), memory_map(X, tmp_path)):
        array.flags.writeable = False
        mixture = GaussianMixture(1).fit(array)
        assert _arrays.samples(mixture, array, reset=False).data_ptr() == array.ctypes.data


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("way", ["in memory", "in pieces", "one batch", "labels and weights", "failing"])
def test_a_memory_map_ends_with_the_fit(X, tmp_path, mode, way):
    """Nobody but the caller keeps it, and with it the file, open."""
    memory_map(X, tmp_path)
    mapped, mixture = np.load(tmp_path / "x.npy", mmap_mode=mode), GaussianMixture(2, random_state=0)
    ends = weakref.ref(mapped._mmap)
    if way == "failing":
        with pytest.raises(ValueError, match="at least n_components = 601 samples"):
            GaussianMixture(601).fit(mapped)
    elif way == "labels and weights":
        mixture.fit(mapped, labels=np.arange(600) % 3, sample_weight=mapped[:, 0] ** 2)
    elif way == "one batch":
        mixture.partial_fit(mapped).predict(mapped)
    else:
        mixture.fit(open_stream(mapped) if way == "in pieces" else mapped).score(mapped)
    del mapped
    assert ends() is None
