"""Mixtures with attributes that were set by hand: what is saved predicts the same when it is read."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from latentcore.mixture import GaussianMixture, MixturePrior, load_mixture, save_mixture

TYPES = ("full", "tied", "diag", "spherical")
KINDS = (np.asarray, torch.as_tensor, np.ndarray.tolist)
DTYPES = (np.float64, np.float32, np.float16)
ANSWERS = ("predict_proba", "score_samples", "predict_label", "predict_label_proba")


@st.composite
def attributes(draw):
    """A covariance type and attributes, some of them strange, each in a dtype and kind of its own."""
    random, kind = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.sampled_from(TYPES))
    K, D, C = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    weights, table = random.dirichlet(np.ones(K)), random.dirichlet(np.ones(C), K)
    shape = {"full": (K, D, D), "tied": (D, D), "diag": (K, D), "spherical": (K,)}[kind]
    factors = random.uniform(0.5, 2, shape)
    factors = np.triu(factors) if len(shape) > 1 and kind in ("full", "tied") else factors
    scales = st.sampled_from([1.0, 1.0, 1.0, 1e-3, 1e-30, 1e-50, 1e30, 1e150, 1e-160])
    second = "precisions_cholesky_"
    if draw(st.booleans()):
        second, matrices = "covariances_", kind in ("full", "tied")
        factors = factors @ np.swapaxes(factors, -1, -2) if matrices else factors
    values = {
        "weights_": weights * draw(st.sampled_from([1.0, 1.0, 1.0, 1.0005, 1.01, -1.0])),
        "means_": random.normal(size=(K, D)) * draw(scales),
        second: factors * draw(scales),
        "classes_": random.permutation(9)[:C] - draw(st.sampled_from([0, 0, 0, 1])),
        "component_label_proba_": table * draw(st.sampled_from([1.0, 1.0, 1.0, 1.0005, 1.01, np.nan])),
    }
    with np.errstate(over="ignore", under="ignore"):
        for name in values:
            if name != "classes_":
                values[name] = values[name].astype(draw(st.sampled_from(DTYPES)))
            values[name] = draw(st.sampled_from(KINDS))(values[name])
    for name in draw(st.lists(st.sampled_from(list(values)[3:]), max_size=1)):
        del values[name]
    return kind, values


@given(attributes())
def test_what_is_saved_is_loaded_with_the_same_predictions(tmp_path_factory, given_attributes):
    kind, values = given_attributes
    mixture, path = GaussianMixture(covariance_type=kind), tmp_path_factory.getbasetemp() / "by_hand.pt"
    path.unlink(missing_ok=True)
    for name, value in values.items():
        setattr(mixture, name, value)
    refusal = None
    try:
        save_mixture(path, mixture)
    except ValueError as error:
        refusal = str(error)
    assert path.exists() == (refusal is None)
    if refusal is not None:
        assert ": expected " in refusal
        return
    loaded = load_mixture(path)
    X = np.random.default_rng(0).normal(size=(20, np.shape(mixture.means_)[1]))
    for samples in (X, X.astype(np.float32)):
        for answer in ANSWERS[: 4 if hasattr(mixture, "classes_") else 2]:
            found = np.asarray(getattr(loaded, answer)(samples))
            np.testing.assert_array_equal(found, np.asarray(getattr(mixture, answer)(samples)))


@pytest.fixture(name="mixture")
def labelled(blobs):
    labels = np.where(np.arange(len(blobs[1])) < 15, blobs[1] + 2, -1)
    return GaussianMixture(4, random_state=0).fit(blobs[0], labels=labels)


WRONG = {
    "classes' number": ("classes_", [2, 3], r"component_label_proba_: expected shape \(4, 2\), got \(4, 3\)"),
    "classes twice": ("classes_", [2, 3, 3], r"classes_: expected different class numbers >= 0, got \[2, 3, 3\]"),
    "negative": ("classes_", torch.tensor([-1, 3, 4]), "classes_: expected different class numbers >= 0"),
    "fractions": ("classes_", torch.tensor([0.5, 1, 2]), "classes_: expected integers, got torch.float32"),
    "words": ("classes_", ["a", "b", "c"], "classes_: expected integers, got <U1"),
    "dimensions": ("classes_", [[2, 3, 4]], r"classes_: expected shape \(C,\), got \(1, 3\)"),
    "none": ("classes_", np.zeros(0, int), "classes_: expected different class numbers >= 0"),
    "components": (
        "component_label_proba_",
        np.eye(3),
        r"component_label_proba_: expected shape \(4, 3\), got \(3, 3\)",
    ),
    "sum": (
        "component_label_proba_",
        np.ones((4, 3)),
        r"expected rows >= 0 that sum to 1, got \[1.0, 1.0, 1.0\] in row 0",
    ),
    "sign": ("component_label_proba_", [[1, 0, 0]] * 3 + [[2, -1, 0]], "expected rows >= 0 that sum to 1, .* in row 3"),
    "NaN": ("component_label_proba_", np.full((4, 3), np.nan), "component_label_proba_: expected rows >= 0 that sum"),
    "complex": ("component_label_proba_", torch.zeros(4, 3) + 1j, "component_label_proba_: expected real numbers"),
    "no table": (
        "component_label_proba_",
        [[1, 0, 0], [1]],
        "component_label_proba_: expected real numbers, got parts",
    ),
}


@pytest.mark.parametrize(("name", "value", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_decoding_that_is_none(blobs, tmp_path, mixture, name, value, message):
    path = tmp_path / "mixture.pt"
    save_mixture(path, mixture)
    before = path.read_bytes()
    setattr(mixture, name, value)
    uses = (mixture.predict_label, mixture.predict_label_proba, lambda _: save_mixture(path, mixture))
    for use in uses:
        with pytest.raises((TypeError, ValueError), match=message):
            use(blobs[0])
    assert path.read_bytes() == before
    assert mixture.predict(blobs[0]).shape == (600,)  # does not ask for it


@pytest.mark.parametrize("name", ["classes_", "component_label_proba_"])
def test_half_of_a_decoding(blobs, tmp_path, mixture, name):
    delattr(mixture, name)
    for use in (mixture.predict_label, mixture.predict_label_proba):
        with pytest.raises(ValueError, match="fit the mixture with labels before predicting labels"):
            use(blobs[0])
    with pytest.raises(ValueError, match=f"{name}: expected to be set where .* is, got none"):
        save_mixture(tmp_path / "mixture.pt", mixture)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decoding_by_hand(blobs, tmp_path, mixture, kind):
    X, expected = blobs[0], mixture.predict_label_proba(blobs[0])
    mixture.classes_ = kind(np.array([9, 0, 4]))
    mixture.component_label_proba_ = kind(mixture.component_label_proba_)
    save_mixture(tmp_path / "mixture.pt", mixture)
    for same in (mixture, load_mixture(tmp_path / "mixture.pt")):
        np.testing.assert_array_equal(same.predict_label_proba(X), expected)
        np.testing.assert_array_equal(same.predict_label(X), np.array([9, 0, 4])[expected.argmax(1)])


def test_numbers_that_float32_has_not(tmp_path):
    mixture = GaussianMixture.from_parameters([1.0], np.zeros((1, 2), np.float32), [1.0], "spherical")
    mixture.precisions_cholesky_ = np.array([1e-50])
    save_mixture(tmp_path / "mixture.pt", mixture)
    assert load_mixture(tmp_path / "mixture.pt").precisions_cholesky_ == 1e-50


def test_what_is_no_mixture(tmp_path):
    mixture = GaussianMixture.from_parameters([1.0], [[0.0]], [1.0], "spherical")
    mixture.covariance_type = "round"
    for use in (lambda: save_mixture(tmp_path / "x", mixture), lambda: mixture.predict([[0.0]])):
        with pytest.raises(ValueError, match=r"covariance_type: expected one of 'full', .* got 'round'"):
            use()
    with pytest.raises(TypeError, match="model: expected a GaussianMixture, got dict"):
        save_mixture(tmp_path / "x", {})
    empty = GaussianMixture()
    empty.weights_, empty.means_, empty.covariances_ = [1.0], np.zeros((1, 0)), np.zeros((1, 0, 0))
    with pytest.raises(ValueError, match=r"means_: expected shape \(K, D\) with K and D >= 1, got \(1, 0\)"):
        save_mixture(tmp_path / "x", empty)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("means", torch.nan, "means: expected finite numbers, got NaN or infinity"),
        ("logits", torch.nan, "weights: expected finite numbers"),
        ("log_diagonal", 200, "precisions_cholesky: expected finite numbers"),
        ("log_diagonal", -200, "precisions_cholesky: expected upper triangular matrices with a positive diagonal"),
    ],
)
def test_a_prior_that_diverged_makes_no_mixture(name, value, message):
    prior = MixturePrior(2, 3)
    with torch.no_grad():
        getattr(prior, name)[0] = value
    with pytest.raises(ValueError, match=message):
        prior.to_mixture()
