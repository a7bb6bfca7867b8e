"""Few labels: the table p(class | component), decoding, and the two recipes."""

import numpy as np
import pytest
import torch

from latentcore.mixture import (
    GaussianMixture,
    class_mean_mixture,
    component_label_probabilities,
    few_label_mixture,
)


def few_labels(groups, each=5, names=(4, 1, 8)):
    """-1 but for `each` samples of every group; group g is class names[g]."""
    labels = np.full(len(groups), -1)
    for group, name in enumerate(names):
        labels[np.flatnonzero(groups == group)[:each]] = name
    return labels


def test_table_is_the_formula():
    resp = torch.rand(20, 4, dtype=torch.float64).softmax(1)
    labels = torch.tensor([0, 2, 1, 0, 2])
    overlap = resp.T @ resp
    counts = torch.stack([resp[:5][labels == c].sum(0) for c in range(3)], 1)
    graph = torch.diag(1 / overlap.sum(1)) @ overlap
    scores = counts + 0.3 * torch.linalg.inv(torch.eye(4, dtype=torch.float64) - 0.7 * graph) @ counts + 1e-6
    table = component_label_probabilities(resp[:5], labels, overlap, 3, propagation=0.7)
    torch.testing.assert_close(table, torch.diag(1 / scores.sum(1)) @ scores)


def test_labels_travel_to_overlapping_components_only():
    labelled, labels = torch.eye(4)[[0, 3]], torch.tensor([0, 1])
    overlap = torch.tensor([[9.0, 2, 0, 0], [2, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9]])
    table = component_label_probabilities(labelled, labels, overlap, 2)
    assert table[1, 0] > 0.99
    assert table[2].tolist() == [0.5, 0.5]  # nobody knows
    assert component_label_probabilities(labelled, labels, overlap, 2, propagation=0)[1].tolist() == [0.5, 0.5]


def test_an_empty_component_is_no_nan():
    labelled, overlap = torch.tensor([[1.0, 0.0]]), torch.diag(torch.tensor([5.0, 0.0]))
    table = component_label_probabilities(labelled, torch.tensor([1]), overlap, 2)
    torch.testing.assert_close(table.sum(1), torch.ones(2, dtype=torch.float64))


BAD = {
    "negative class": (
        torch.rand(2, 3),
        torch.tensor([0, -1]),
        torch.eye(3),
        0.9,
        r"labels: expected classes in \[0, 2",
    ),
    "class too great": (torch.rand(2, 3), torch.tensor([0, 2]), torch.eye(3), 0.9, r"labels: .* got 0 \.\.\. 2"),
    "labels' length": (torch.rand(2, 3), torch.tensor([0]), torch.eye(3), 0.9, r"labels: expected shape \(2,\)"),
    "overlap's shape": (torch.rand(2, 3), torch.tensor([0, 1]), torch.eye(2), 0.9, r"overlap: expected shape \(3, 3\)"),
    "propagation": (torch.rand(2, 3), torch.tensor([0, 1]), torch.eye(3), 1.0, "propagation: expected a number in"),
}


@pytest.mark.parametrize(("resp", "labels", "overlap", "propagation", "message"), BAD.values(), ids=BAD.keys())
def test_bad_tables(resp, labels, overlap, propagation, message):
    with pytest.raises(ValueError, match=message):
        component_label_probabilities(resp, labels, overlap, 2, propagation=propagation)


def test_soft_decoding(blobs):
    X, groups = blobs
    mixture = GaussianMixture(6, random_state=0).fit(X, labels=few_labels(groups))
    assert mixture.classes_.tolist() == [1, 4, 8]
    proba = mixture.predict_label_proba(X)
    np.testing.assert_allclose(proba, mixture.predict_proba(X) @ mixture.component_label_proba_, rtol=1e-12)
    np.testing.assert_allclose(proba.sum(1), 1)
    predicted = mixture.predict_label(X)
    assert np.array_equal(predicted, mixture.classes_[proba.argmax(1)])
    assert np.mean(predicted == np.array([4, 1, 8])[groups]) > 0.95


def test_labels_go_with_the_next_fit(blobs):
    X, groups = blobs
    mixture = GaussianMixture(4, random_state=0).fit(X, labels=few_labels(groups))
    assert not hasattr(mixture.fit(X), "classes_")


def test_sample_weights_count_labels_so_many_times(blobs):
    X, groups = blobs
    times, labels = 1 + np.arange(len(X)) % 2, few_labels(groups)
    start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "precisions_init": np.stack([np.eye(3)] * 2)}
    weighted = GaussianMixture(2, **start).fit(X, sample_weight=times, labels=labels)
    repeated = GaussianMixture(2, **start).fit(np.repeat(X, times, axis=0), labels=np.repeat(labels, times))
    np.testing.assert_allclose(weighted.component_label_proba_, repeated.component_label_proba_, rtol=1e-9)


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros(3, int), ValueError, r"labels: expected shape \(600,\), got \(3,\)"),
        (np.full(600, -1), ValueError, "labels: expected class numbers .* at least one known, got none but -1"),
        (np.full(600, -2), ValueError, "labels: expected class numbers"),
        (np.zeros(600), TypeError, "labels: expected integers, got float64"),
        (torch.zeros(600), TypeError, "labels: expected integers, got torch.float32"),
    ],
)
def test_bad_labels(blobs, labels, error, message):
    with pytest.raises(error, match=message):
        GaussianMixture(2).fit(blobs[0], labels=labels)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("recipe", [few_label_mixture, class_mean_mixture])
def test_recipes_work_in_the_units_of_the_samples(blobs, recipe, kind):
    X, groups = blobs
    X = X * [1000.0, 1.0, 0.01] + [5000.0, 0.0, 1.0]
    options = {"n_components": 9, "n_init": 3, "random_state": 0} if recipe is few_label_mixture else {}
    mixture = recipe(kind(X), kind(few_labels(groups)), **options)
    predicted = mixture.predict_label(kind(X))
    assert isinstance(predicted, type(kind(X)))
    assert isinstance(mixture.means_, type(kind(X)))
    assert np.mean(np.asarray(predicted) == np.array([4, 1, 8])[groups]) > 0.95
    # a density in these units: the likelihood that the fit ended with, one step before its last, and that of fifteen
    # labels where there were some
    assert mixture.score(kind(X)) == pytest.approx(mixture.lower_bound_, abs=1e-2)
    means = np.asarray(mixture.weights_) @ np.asarray(mixture.means_)
    np.testing.assert_allclose(means, X.mean(0), rtol=1e-6)
    precisions = np.asarray(mixture.precisions_cholesky_) @ np.asarray(mixture.precisions_cholesky_).swapaxes(1, 2)
    np.testing.assert_allclose(np.linalg.inv(precisions), np.asarray(mixture.covariances_), rtol=1e-6, atol=1e-9)


def test_plain_recipe_has_one_component_per_class(blobs):
    X, groups = blobs
    mixture = class_mean_mixture(X, few_labels(groups))
    assert np.array_equal(mixture.predict_label(X), mixture.classes_[mixture.predict(X)])


def test_a_constant_axis(blobs):
    X, groups = blobs
    flat = np.concatenate([X, np.ones((len(X), 1))], 1).astype(np.float32)
    mixture = few_label_mixture(flat, few_labels(groups), n_components=5, n_init=2, random_state=0)
    assert np.isfinite(mixture.predict_label_proba(flat)).all()
