"""Samples in all the ways in which they may be given: taken for what they are, or refused with one message."""

import numpy as np
import pandas as pd
import pytest
import torch
from tests.mixture.streams import assert_same
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from depth import few
from latentcore.mixture import GaussianMixture, class_mean_mixture, few_label_mixture, fit_many, open_stream, sweep


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


class Endless(Dataset):
    def __getitem__(self, i):
        return np.zeros(2)


def fitted(X):
    return GaussianMixture(2, random_state=0).fit(X)


@pytest.fixture(name="X")
def samples(blobs):
    return blobs[0]


ROWS = {
    "big-endian": lambda X: X.astype(">f8"),
    "objects": lambda X: X.astype(object),
    "long double": lambda X: X.astype(np.longdouble),
    "labelled": lambda X: [(x, i % 2) for i, x in enumerate(X.astype(">f8"))],
    "with gradients": lambda X: list(torch.from_numpy(X).requires_grad_()),
}


@pytest.mark.parametrize("kind", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("workers", few([0, 1]))
def test_rows_that_a_loader_of_torch_does_not_collate(X, kind, workers):
    if workers and kind is ROWS["with gradients"]:
        pytest.skip("a process cannot hand them on")
    loader = DataLoader(Items(kind(X)), batch_size=150, num_workers=workers)
    assert_same(fitted(loader), fitted(X))
    assert loader.collate_fn is default_collate  # the user's loader is as it was


@pytest.mark.parametrize("collate", [np.stack, lambda rows: [np.stack(rows), len(rows)]])
def test_a_collation_of_the_users_own(X, collate):
    assert_same(fitted(DataLoader(Items(X), batch_size=150, collate_fn=collate)), fitted(X))


@pytest.mark.parametrize("workers", few([0, 1]))
@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([None] * 9, r"X: expected samples of shape \(D,\), got \(\)$"),
        ([np.zeros(1 + i % 2) for i in range(9)], r"X: expected samples of shape \(1,\), as others have, got \(2,\)$"),
        ([torch.zeros(1 + i % 2) for i in range(9)], r"X: expected samples of shape \(1,\), as others have, got"),
        ([np.array(["a", "b"])] * 9, "X: expected samples of real numbers, got <U1$"),
        ([object()] * 9, "X: expected samples of real numbers, got object$"),
        ([{"x": None}] * 9, "X: expected samples of real numbers, got a dict of x: give one of them$"),
        ([([1, [2, 3]], 0)] * 9, "X: expected (samples|pieces) of real numbers, got parts of different shapes$"),
    ],
)
def test_rows_that_are_no_samples(items, message, workers):
    for data in (DataLoader(Items(items), batch_size=3, num_workers=workers), Items(items))[: 1 if workers else 2]:
        with pytest.raises((TypeError, ValueError), match=f"^{message}"):
            fitted(data)


def test_errors_of_the_data_set_are_its_own(X):
    class Broken(Items):
        def __getitem__(self, i):
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fitted(DataLoader(Broken(X), batch_size=10))


PIECES = {
    "a matrix of labels": lambda X: (X, X[:, :2] + 1),
    "a copy": lambda X: (X, X + 1),
    "labels": lambda X: (X, X[:, 0]),
    "tensors": lambda X: (torch.from_numpy(X), torch.from_numpy(X[:, :2])),
    "a list, as loaders make them": lambda X: [torch.from_numpy(X), torch.from_numpy(X[:, :2])],
    "a list with classes": lambda X: [X, np.zeros(len(X), int)],
    "nothing": lambda X: (X, None),
    "alone": lambda X: [X],
    "rows with gradients": lambda X: list(torch.from_numpy(X).requires_grad_()),
    "rows of halves": lambda X: list(torch.from_numpy(X).bfloat16().double().bfloat16()),
}


@pytest.mark.parametrize("kind", PIECES.values(), ids=PIECES.keys())
def test_what_stands_beside_a_piece(X, kind):
    X = torch.from_numpy(X).bfloat16().double().numpy()  # numbers that all dtypes have
    tolerance = 1e-3 if kind is PIECES["rows of halves"] else 1e-9
    found = GaussianMixture(2, random_state=0).fit(lambda: iter([kind(X[:300]), kind(X[300:])]))
    assert_same(found, fitted(X), tolerance)


REFUSED = {
    "dicts": lambda X: [{"x": X}],
    "sets": lambda X: [{1, 2}, {3, 4}],
    "words": lambda X: ["a", "b"],
    "a word": lambda X: "ab",
    "an array of words": lambda X: np.array([["a", "b"]] * 9),
    "lists of different lengths": lambda X: [[1, 2], [3]],
    "nothing": lambda X: None,
    "a number": lambda X: 3,
    "sparse": lambda X: torch.from_numpy(X).to_sparse(),
    "without values": lambda X: torch.zeros(9, 2, device="meta"),
    "quantised": lambda X: torch.quantize_per_tensor(torch.from_numpy(X).float(), 0.1, 0, torch.qint8),
    "nested": lambda X: torch.nested.nested_tensor([torch.zeros(3, 2), torch.zeros(2, 2)]),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors", "ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("kind", REFUSED.values(), ids=REFUSED.keys())
def test_what_are_no_samples(X, kind):
    model, labels = fitted(X), np.arange(600) % 3
    uses = (
        GaussianMixture(2).fit,
        GaussianMixture(2).partial_fit,
        model.predict,
        model.score,
        lambda given: sweep(given, [1]),
        lambda given: few_label_mixture(given, labels),
        lambda given: class_mean_mixture(given, labels),
        lambda given: fit_many(given, 2),
    )
    for use in uses:
        with pytest.raises((TypeError, ValueError), match=r"^X: expected .*, got .*$"):
            use(kind(X))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: 3, "X: expected a function that returns an iterator of pieces, got one of int"),
        (Endless(), "X: expected a data set with a length, got Endless"),
        (lambda: iter([torch.zeros(5, 2).to_sparse()]), "X: expected a dense tensor of numbers, got torch.sparse_coo"),
        (
            lambda: iter([[torch.zeros(5, 2), torch.zeros(4, 3)]]),
            r"X: expected pieces of shape \(n, D\), got a list of arrays of shapes \(5, 2\), \(4, 3\)",
        ),
        (
            lambda: iter([[torch.zeros(2), torch.zeros(3)]]),
            "X: expected pieces of real numbers, got parts of different shapes",
        ),
        (lambda: iter([{"x": 1}]), "X: expected pieces of real numbers, got a dict of x: give one of them"),
        (Items([torch.zeros(2).to_sparse()] * 9), "X: expected a dense tensor of numbers, got torch.sparse_coo"),
    ],
)
def test_streams_that_give_no_samples(data, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fitted(data)


def test_rows_in_lists(X):
    for rows in (list(torch.from_numpy(X)), list(torch.from_numpy(X).requires_grad_()), X.astype(str).tolist()):
        assert_same(fitted(rows), fitted(X), 1e-9)
    many = X.reshape(3, 200, 3)
    found = fit_many(list(torch.from_numpy(many).requires_grad_()), 2, random_state=0)
    np.testing.assert_array_equal(found.means_, fit_many(many, 2, random_state=0).means_)


@pytest.mark.parametrize("recipe", [few_label_mixture, class_mean_mixture])
def test_recipes_take_samples_in_memory(X, recipe):
    labels = np.arange(600) % 3
    for data in (TensorDataset(torch.from_numpy(X)), lambda: iter([X]), DataLoader(Items(X)), open_stream(lambda: [X])):
        with pytest.raises(TypeError, match=r"X: expected an array or tensor \(N, D\) of real numbers, got"):
            recipe(data, labels)
    with pytest.raises(ValueError, match="labels: expected class numbers >= 0, at least one known, got none but -1"):
        recipe(X, np.full(600, -1))
    with pytest.raises(ValueError, match="X: expected samples whose variance is finite, got an overflow; scale X"):
        recipe(1e200 * X, labels)


@pytest.mark.parametrize(("count", "error"), [("a", TypeError), (2.5, TypeError), (0, ValueError), (-1, ValueError)])
def test_recipes_check_the_number_of_components(X, count, error):
    with pytest.raises(error, match="n_components: expected an int"):
        few_label_mixture(X, np.arange(600) % 3, n_components=count)


@pytest.mark.parametrize("recipe", [few_label_mixture, class_mean_mixture])
def test_recipes_need_labels(X, recipe):
    with pytest.raises((TypeError, ValueError), match=r"^labels: expected"):
        recipe(X, None)


def test_recipes_know_the_names_of_columns(X):
    frame, labels = pd.DataFrame(X, columns=["a", "b", "c"]), np.arange(600) % 3
    for mixture in (class_mean_mixture(frame, labels), few_label_mixture(frame, labels, n_components=4, n_init=1)):
        assert mixture.predict_label(frame).shape == (600,)
        assert mixture.feature_names_in_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "given",
    [
        {"sample_weight": torch.ones(600).to_sparse()},
        {"labels": torch.zeros(600, dtype=torch.int64).to_sparse()},
        {"labels": torch.zeros(600, dtype=torch.int64, device="meta")},
    ],
)
def test_what_stands_beside_samples_is_dense(X, given):
    for data in (X, lambda: iter([X])):
        with pytest.raises(TypeError, match=f"{next(iter(given))}: expected a dense tensor of numbers, got torch."):
            GaussianMixture(2).fit(data, **given)


def test_numbers_beyond_those_of_torch(X):
    with pytest.raises(ValueError, match=r"labels: expected an int in .*, got 9223372036854775808"):
        GaussianMixture(2).fit(X, labels=torch.from_numpy(np.full(600, 2**63, np.uint64)))
    with pytest.raises(ValueError, match="sample_weight: expected finite numbers"):
        GaussianMixture(2).fit(X, sample_weight=np.full(600, np.longdouble("1e4000")))


def test_weights_in_lists_of_tensors(X):
    weights = torch.arange(600.0).requires_grad_()
    found = GaussianMixture(2, random_state=0).fit(X, sample_weight=list(weights))
    assert_same(found, GaussianMixture(2, random_state=0).fit(X, sample_weight=np.arange(600.0)))
