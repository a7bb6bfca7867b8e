"""Samples of known classes are held to the components of their class."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st
from sklearn.mixture import GaussianMixture as Theirs

from latentcore import reference
from latentcore.mixture import GaussianMixture, load_mixture, save_mixture
from latentcore.mixture.clamped import Clamped
from latentcore.mixture.missing import Incomplete
from latentcore.reference import MixtureParameters, precisions_cholesky_of

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
every_type = pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)


def rings(count=1200, seed=0):
    """Two classes of three groups each, which alternate on a circle: no straight line parts them."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 6, count)
    angle = group * np.pi / 3
    X = 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(scale=0.6, size=(count, 2))
    return X, group % 2, group


def some_labels(classes, groups, each):
    labels = np.full(len(classes), -1)
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)[:each]
        labels[places] = classes[places]
    return labels


@given(st.integers(0, 2**31), st.sampled_from(COVARIANCE_TYPES), st.booleans())
def test_statistics_are_those_of_clamped_responsibilities(seed, covariance_type, weighted):
    """Against every sample's responsibilities, written out."""
    random = np.random.default_rng(seed)
    N, D, K, C = 30, 2, 5, 3
    x = torch.tensor(random.normal(size=(N, D)))
    labels = torch.tensor(random.integers(-1, C, N))
    table = (
        torch.tensor(random.dirichlet(np.ones(C), K))
        if seed % 2
        else torch.eye(C, dtype=torch.float64)[[0, 0, 1, 2, 2]]
    )
    full = torch.tensor(random.normal(size=(K, D, D)))
    full = full @ full.mT + torch.eye(D)
    sigma = {"full": full, "tied": full[0], "diag": full.diagonal(dim1=1, dim2=2), "spherical": full[:, 0, 0]}
    covariances = sigma[covariance_type].contiguous()
    factors = precisions_cholesky_of(covariances, covariance_type)
    weights, means = torch.tensor(random.dirichlet(np.ones(K))), torch.tensor(random.normal(size=(K, D)))
    parameters = MixtureParameters(weights, means, covariances, factors)
    weight = torch.tensor(random.uniform(0, 2, N)) if weighted else None
    log_joint = reference.gmm_log_prob(x, means, factors, covariance_type) + weights.log()
    known = labels >= 0
    log_joint[known] += table[:, labels[known]].mT.log()
    log_likelihood = log_joint.logsumexp(1)
    resp = (log_joint - log_likelihood[:, None]).exp() * (1 if weight is None else weight[:, None])
    batch = Clamped(x, weight, labels, table, Incomplete)
    found = batch.statistics(MixtureParameters(*(value[None] for value in parameters)), covariance_type)
    expected = (log_likelihood * (1 if weight is None else weight)).sum()
    torch.testing.assert_close(found.log_likelihood[0], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.n_k[0], resp.sum(0), rtol=1e-9, atol=1e-9)
    shifts = x[:, None] - means
    torch.testing.assert_close(found.first[0], (resp[..., None] * shifts).sum(0), rtol=1e-9, atol=1e-9)


@every_type
def test_with_all_labels_a_class_is_a_fit_of_its_own(covariance_type):
    X, _, groups = rings()
    mixture = GaussianMixture(covariance_type=covariance_type, n_components_per_class=1, random_state=0)
    mixture.fit(X, labels=groups)
    np.testing.assert_allclose(mixture.weights_, np.bincount(groups) / len(X), rtol=1e-9)
    np.testing.assert_allclose(mixture.means_, [X[groups == g].mean(0) for g in range(6)], rtol=1e-9)
    if covariance_type != "tied":
        for g in range(6):
            alone = Theirs(covariance_type=covariance_type).fit(X[groups == g])
            np.testing.assert_allclose(mixture.covariances_[g], alone.covariances_[0], rtol=1e-6)
    assert np.array_equal(mixture.component_label_proba_, np.eye(6))


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random_from_data"])
def test_few_labels_part_what_no_line_parts(init_params):
    X, classes, groups = rings()
    options = {"init_params": init_params, "n_init": 10, "random_state": 0, "max_iter": 300}
    mixture = GaussianMixture(n_components_per_class=3, **options).fit(X, labels=some_labels(classes, groups, 4))
    assert mixture.means_.shape == (6, 2)
    assert mixture.component_label_proba_.tolist() == [[1, 0]] * 3 + [[0, 1]] * 3
    assert np.mean(mixture.predict_label(X) == classes) > 0.98


def test_labels_rule_where_the_samples_say_otherwise():
    """Without labels one component would take each cloud; the labels say that the class of a cloud is mixed."""
    random = np.random.default_rng(0)
    X = np.concatenate([random.normal(0, 1, (200, 2)), random.normal(8, 1, (200, 2))])
    labels = np.full(400, -1)
    labels[:100], labels[200:220] = 0, 0
    labels[100:110] = 1
    mixture = GaussianMixture(n_components_per_class=[2, 1], random_state=0).fit(X, labels=labels)
    assert mixture.weights_[2] > 0.01
    assert mixture.predict_label(X[200:]).sum() == 0


def test_the_likelihood_of_samples_and_labels_never_falls(blobs):
    X, groups = blobs
    labels = np.where(np.arange(600) % 10 == 0, groups, -1)
    for options in ({"n_components": 5}, {"n_components_per_class": 2}):
        mixture = GaussianMixture(random_state=0, tol=1e-9, max_iter=500, **options).fit(X, labels=labels)
        assert np.diff(mixture.lower_bounds_).min() > -1e-9


def test_free_components_find_their_classes_and_then_hold_the_labels(blobs):
    X, groups = blobs
    labels = np.where(np.arange(600) % 10 == 0, groups, -1)
    free = GaussianMixture(6, random_state=0).fit(X)
    held = GaussianMixture(6, random_state=0).fit(X, labels=labels)
    # few labels move the mixture a little
    assert 0 < np.abs(held.means_ - free.means_).max() < 1
    assert np.mean(held.predict_label(X) == groups) > 0.95


def test_labels_and_gaps_and_tensors(blobs, tmp_path):
    X, groups = blobs
    X = X.copy()
    X[::5, 2] = np.nan
    labels = torch.from_numpy(np.where(np.arange(600) % 10 == 0, groups + 3, -1))
    mixture = GaussianMixture(n_components_per_class=1, missing="marginalize").fit(torch.from_numpy(X), labels=labels)
    assert mixture.classes_.tolist() == [3, 4, 5]
    predicted = mixture.predict_label(torch.from_numpy(X))
    assert isinstance(predicted, torch.Tensor)
    assert float((predicted == torch.from_numpy(groups + 3)).double().mean()) > 0.93
    save_mixture(tmp_path / "mixture.pt", mixture)
    complete = blobs[0]
    again = load_mixture(tmp_path / "mixture.pt").predict_label(complete)
    assert np.array_equal(again, mixture.predict_label(torch.from_numpy(complete)).numpy())


@pytest.mark.parametrize(
    ("options", "labels", "error", "message"),
    [
        (
            {"n_components_per_class": 2},
            None,
            ValueError,
            "labels: expected class numbers beside n_components_per_class",
        ),
        (
            {"n_components_per_class": [1, 2]},
            "groups",
            ValueError,
            "n_components_per_class: expected a number for each of 3",
        ),
        (
            {"n_components_per_class": [1, 0, 2]},
            "groups",
            ValueError,
            r"n_components_per_class: expected an int in \[1",
        ),
        ({"n_components_per_class": 0}, "groups", ValueError, "'n_components_per_class' parameter of GaussianMixture"),
        ({"n_components_per_class": 2, "n_components": 5}, "groups", ValueError, "n_components: expected 1 or 6"),
        (
            {"n_components_per_class": 2, "means_init": np.zeros((3, 3))},
            "groups",
            ValueError,
            r"means_init: expected shape \(6, 3\)",
        ),
        ({"n_components_per_class": [1.5, 1, 1]}, "groups", TypeError, "n_components_per_class: expected an int"),
    ],
)
def test_bad_options(blobs, options, labels, error, message):
    with pytest.raises(error, match=message):
        GaussianMixture(**options).fit(blobs[0], labels=blobs[1] if labels else None)
