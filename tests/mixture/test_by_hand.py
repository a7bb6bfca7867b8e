"""Parameters that no fit found: set or edited by hand, loaded, or out of a prior; and what goes on from them."""

import pickle

import numpy as np
import pytest
import sklearn.mixture
import torch
from sklearn.exceptions import NotFittedError
from tests.mixture.streams import assert_same

from latentcore.mixture import GaussianMixture, MixturePrior, load_mixture, save_mixture

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
every_kind = pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, np.ndarray.tolist], ids=["a", "t", "list"])
ANSWERS = ("predict", "predict_proba", "score_samples", "score", "aic", "bic", "icl")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_cholesky_")


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0]


@pytest.fixture(name="known")
def scikit_learns(X):
    """Scikit-learn's mixtures, by covariance type."""
    return {
        kind: sklearn.mixture.GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
        for kind in COVARIANCE_TYPES
    }


def by_hand(known, names, kind, **options):
    mixture = GaussianMixture(3, covariance_type=known.covariance_type, random_state=0, **options)
    for name in names:
        setattr(mixture, name, kind(getattr(known, name)))
    return mixture


@every_type
@every_kind
@pytest.mark.parametrize("names", [PARAMETERS, PARAMETERS[:3], (*PARAMETERS[:2], PARAMETERS[3])])
def test_attributes_of_a_mixture_that_was_not_fitted(X, known, covariance_type, kind, names):
    known = known[covariance_type]
    mixture = by_hand(known, names, kind)
    for data in (X, torch.from_numpy(X)):
        for answer in ANSWERS[:6]:
            np.testing.assert_allclose(getattr(mixture, answer)(data), getattr(known, answer)(X), rtol=1e-8, atol=1e-10)
    x, component = mixture.sample(20)
    assert type(x) is (torch.Tensor if kind is torch.as_tensor else np.ndarray)
    np.testing.assert_allclose(x.mean(0), known.means_[component].mean(0), atol=2)
    with pytest.raises(ValueError, match=r"X: expected shape \(N, 3\), got 2 features"):
        mixture.predict(X[:, :2])
    assert mixture.partial_fit(X).n_features_in_ == 3
    assert by_hand(known, names, kind, warm_start=True).fit(X).n_iter_ <= 3


@every_type
@every_kind
def test_from_parameters(X, known, tmp_path, covariance_type, kind):
    known = known[covariance_type]
    given = [kind(getattr(known, name)) for name in PARAMETERS[:3]]
    mixture = GaussianMixture.from_parameters(*given, covariance_type)
    assert type(mixture.means_) is (torch.Tensor if kind is torch.as_tensor else np.ndarray)
    assert (mixture.n_components, mixture.covariance_type, mixture.n_features_in_) == (3, covariance_type, 3)
    for name in (*PARAMETERS, "precisions_"):
        np.testing.assert_allclose(getattr(mixture, name), getattr(known, name), rtol=1e-9, atol=1e-12)
    save_mixture(tmp_path / "mixture.pt", mixture)
    for copy in (load_mixture(tmp_path / "mixture.pt"), pickle.loads(pickle.dumps(mixture))):
        np.testing.assert_allclose(copy.predict_proba(X), known.predict_proba(X), rtol=1e-8, atol=1e-12)
    mixture.means_[:] = 0  # what was given is not what was edited
    np.testing.assert_array_equal(np.asarray(given[1]), known.means_)


def test_from_parameters_has_the_dtype_of_the_means():
    for kind in (np.asarray, torch.as_tensor):
        means = kind(np.zeros((1, 2), np.float32))
        mixture = GaussianMixture.from_parameters([1], means, np.eye(2)[None])
        assert {getattr(mixture, name).dtype for name in PARAMETERS} == {means.dtype}


BAD = {
    "covariance_type": (([1], [[0.0]], [1.0], "round"), ValueError, "covariance_type: expected one of 'full'"),
    "means": (([1], [0.0], [1.0], "spherical"), ValueError, r"means: expected shape \(K, D\), got \(1,\)"),
    "weights": (([1, 0], [[0.0]], [1.0], "spherical"), ValueError, r"weights: expected shape \(1,\), got \(2,\)"),
    "sum": (([0.5], [[0.0]], [1.0], "spherical"), ValueError, "weights: expected numbers >= 0 that sum to 1"),
    "negative": (([2, -1], [[0.0], [1]], [1.0, 1], "spherical"), ValueError, "weights: expected numbers >= 0"),
    "shape": (([1], [[0.0]], [1.0], "full"), ValueError, r"covariances: expected shape \(1, 1, 1\), got \(1,\)"),
    "indefinite": (([1], [[0.0, 0]], [-np.eye(2)], "full"), ValueError, "covariances: expected symmetric, positive"),
    "asymmetric": (([1], [[0.0, 0]], [[[1, 0.5], [0, 1]]], "full"), ValueError, "covariances: expected symmetric"),
    "variance": (([1], [[0.0, 0]], [[0, 1.0]], "diag"), ValueError, "covariances: expected positive numbers"),
    "nan": (([1], [[np.nan]], [1.0], "spherical"), ValueError, "means: expected finite numbers, got NaN"),
    "text": (([1], [["a"]], [1.0], "spherical"), TypeError, "means: expected real numbers"),
}


@pytest.mark.parametrize(("given", "error", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_mixture(given, error, message):
    with pytest.raises(error, match=message):
        GaussianMixture.from_parameters(*given)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights_", np.ones(3), "weights_: expected numbers >= 0 that sum to 1"),
        ("weights_", np.ones(2) / 2, r"weights_: expected shape \(3,\), got \(2,\)"),
        ("means_", np.zeros((3, 2)), r"means_: expected shape \(K, 3\), got \(3, 2\)"),
        ("covariances_", np.zeros((3, 3, 3)), "covariances_: expected symmetric, positive definite matrices"),
        ("precisions_cholesky_", -np.stack([np.eye(3)] * 3), "precisions_cholesky_: expected upper triangular"),
        ("precisions_cholesky_", np.ones((3, 3, 3)), "precisions_cholesky_: expected upper triangular"),
        ("covariance_type", "diag", r"precisions_cholesky_: expected shape \(3, 3\), got \(3, 3, 3\)"),
        ("covariance_type", "tied", r"precisions_cholesky_: expected shape \(3, 3\), got \(3, 3, 3\)"),
    ],
)
def test_edits_that_are_no_mixture(X, name, value, message):
    mixture = GaussianMixture(3, random_state=0, warm_start=True).fit(X)
    setattr(mixture, name, value)
    for use in (mixture.predict, mixture.score, mixture.fit, mixture.partial_fit, lambda _: mixture.sample()):
        with pytest.raises(ValueError, match=message):
            use(X)


def test_half_of_the_parameters():
    mixture = GaussianMixture()
    mixture.weights_ = np.ones(1)
    with pytest.raises(NotFittedError):
        mixture.sample()
    mixture.means_ = np.zeros((1, 2))
    with pytest.raises(NotFittedError):
        mixture.predict(np.zeros((1, 2)))
    mixture.covariances_ = np.eye(2)[None]
    assert mixture.predict(np.zeros((1, 2))) == 0


@every_type
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_the_newer_of_covariances_and_factors_counts(X, covariance_type, kind):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(kind(X))
    narrow = GaussianMixture.from_parameters(
        mixture.weights_, mixture.means_, mixture.covariances_ / 4, covariance_type
    )
    factors, covariances = 2 * mixture.precisions_cholesky_, mixture.covariances_.copy() if kind is np.asarray else None
    mixture.covariances_ /= 4  # in place
    np.testing.assert_allclose(mixture.score_samples(X), narrow.score_samples(X), rtol=1e-9)
    mixture.precisions_cholesky_ = factors
    mixture.covariances_ = covariances if covariances is not None else mixture.covariances_ * 9
    np.testing.assert_allclose(mixture.score_samples(X), narrow.score_samples(X), rtol=1e-9)
    del mixture.precisions_cholesky_
    mixture.covariances_ = narrow.covariances_
    np.testing.assert_allclose(mixture.score_samples(X), narrow.score_samples(X), rtol=1e-9)


def as_it_was(mixture, folder):
    return mixture


def through_a_file(mixture, folder):
    save_mixture(folder / "mixture.pt", mixture)
    return load_mixture(folder / "mixture.pt")


def through_a_prior(mixture, folder):
    return MixturePrior.from_mixture(mixture).to_mixture()


@every_type
@pytest.mark.parametrize("way", [as_it_was, through_a_file, through_a_prior])
def test_a_warm_start_goes_on(X, tmp_path, covariance_type, way):
    options = {"covariance_type": covariance_type, "random_state": 0, "tol": 1e-8}
    whole = GaussianMixture(3, max_iter=200, **options).fit(X)
    with pytest.warns(UserWarning, match="did not converge"):
        begun = GaussianMixture(3, max_iter=2, **options).fit(X)
    mixture = way(begun, tmp_path).set_params(warm_start=True, max_iter=198, tol=1e-8).fit(X)
    np.testing.assert_allclose(mixture.lower_bounds_, whole.lower_bounds_[2:], rtol=1e-7)
    np.testing.assert_allclose(mixture.means_, whole.means_, rtol=1e-5, atol=1e-5)


def test_a_warm_start_from_edited_attributes(X):
    mixture = GaussianMixture(3, random_state=0, warm_start=True).fit(X)
    mixture.means_, mixture.covariances_ = mixture.means_ + 1, 9 * mixture.covariances_
    expected = mixture.means_.copy(), mixture.covariances_.copy()
    mixture.set_params(max_iter=0).fit(X)
    np.testing.assert_allclose(mixture.means_, expected[0], rtol=1e-12)
    np.testing.assert_allclose(mixture.covariances_, expected[1], rtol=1e-9)


@pytest.mark.parametrize("edit", ["new", "in place"])
def test_partial_fit_goes_on_from_edited_attributes(X, edit):
    mixture = GaussianMixture(1, learning_decay=1.0, learning_offset=1.0).partial_fit(X).partial_fit(X)
    before = mixture.means_.copy()
    if edit == "new":
        mixture.means_ = mixture.means_ + 30
    else:
        mixture.means_ += 30
    mixture.partial_fit(X)
    # two batches of three were of the mixture as it was edited
    np.testing.assert_allclose(mixture.means_, before + 20, rtol=1e-9)
    assert (mixture.n_iter_, mixture.n_samples_seen_, len(mixture.lower_bounds_)) == (3, 1800, 3)


@every_type
def test_partial_fit_of_unedited_attributes_keeps_all_digits(X, covariance_type):
    X = X.astype(np.float32)
    mixtures = [GaussianMixture(3, covariance_type=covariance_type, random_state=0).partial_fit(X) for _ in range(2)]
    mixtures[1].means_ = mixtures[1].means_.copy()
    for mixture in mixtures:
        mixture.partial_fit(X)
    assert_same(*mixtures, 0)


@pytest.mark.parametrize("learn", ["fit", "partial_fit"])
def test_another_number_of_components(X, learn):
    mixture = GaussianMixture(2, random_state=0, warm_start=True).partial_fit(X).set_params(n_components=3)
    before = mixture.means_
    with pytest.raises(
        ValueError, match="n_components: expected 2, as many as the mixture has that is continued, got 3"
    ):
        getattr(mixture, learn)(X)
    assert mixture.means_ is before
    mixture.set_params(warm_start=False).fit(X)
    assert len(mixture.partial_fit(X).means_) == 3


def test_a_prior_is_made_of_them():
    made = GaussianMixture.from_parameters([0.25, 0.75], [[0.0, 0], [3, 1]], [2.0, 0.5], "spherical")
    by_hand = GaussianMixture(2, covariance_type="spherical")
    by_hand.weights_, by_hand.means_, by_hand.covariances_ = made.weights_, made.means_, made.covariances_
    z = torch.randn(5, 2, dtype=torch.float64)
    for mixture in (made, by_hand):
        found = MixturePrior.from_mixture(mixture).log_prob(z)
        assert torch.allclose(found, torch.from_numpy(made.score_samples(z.numpy())))


@every_type
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["a", "t"])
def test_a_pickle_keeps_what_was_edited_and_no_copies(X, covariance_type, kind):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(kind(X))
    bare = {name: value for name, value in vars(mixture).items() if name != "_published"}
    assert len(pickle.dumps(mixture)) < len(pickle.dumps(bare)) + 400
    for copy in (pickle.loads(pickle.dumps(mixture)), pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(mixture))))):
        np.testing.assert_array_equal(copy.predict_proba(X), mixture.predict_proba(X))
        copy.means_[:] += 1  # which is seen in a copy, and in the copy of a copy
        np.testing.assert_allclose(copy.predict_proba(X + 1), mixture.predict_proba(X), atol=1e-10)
    mixture.covariances_ = mixture.covariances_ * 4  # counts against the factors, which were not changed
    copy = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(copy.predict_proba(X), mixture.predict_proba(X))
    mixture.means_ = "nowhere"
    with pytest.raises(TypeError, match="means_: expected real numbers"):
        pickle.loads(pickle.dumps(mixture)).predict(X)
    del mixture.means_
    with pytest.raises(NotFittedError):
        pickle.loads(pickle.dumps(mixture)).predict(X)


def test_what_is_predicted_for_a_plain_array_is_checked_as_all_others_are(X):
    mixture = GaussianMixture(3, random_state=0).fit(X)
    for wrong, words in ((X[:0], "0 sample"), (X[:, :1], "features"), (X[0], "2D"), (X.astype(complex), "omplex")):
        with pytest.raises(ValueError, match=words):
            mixture.predict(wrong)
    unknown = X.copy()
    unknown[1, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        mixture.predict(unknown)
    huge = np.full_like(X[:2], 1e308)  # whose sum is too great, and they are not
    assert mixture.score_samples(huge).tolist() == [-np.inf, -np.inf]
    for same in (X[::-1], np.asfortranarray(X), X.astype(">f8"), X.tolist()):
        np.testing.assert_array_equal(mixture.predict(same), mixture.predict(np.array(same, np.float64)))
