"""From components to classes with few labels: soft decoding, helped by label propagation between components.

A mixture with more components than classes is fitted without labels; a few labelled samples then say which class each
component stands for.
"""

from typing import Any, NoReturn

import torch
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.mixture import _arrays
from latentcore.mixture._source import Source
from latentcore.reference import MixtureParameters

# shapes: N samples of which L are labelled, K components, C classes

_FLOOR = 1e-6


def component_label_probabilities(
    labelled_resp: Tensor, labels: Tensor, overlap: Tensor, n_classes: int, *, propagation: float = 0.9
) -> Tensor:
    r"""The class probabilities of every component, :math:`p(c \mid k)`.

    .. math::

        Y_{kc} = \sum_{i:\, y_i = c} r_{ik}, \qquad
        A = \operatorname{rownorm}(R^T R), \qquad
        p(c \mid k) = \operatorname{rownorm}\bigl(Y + (1 - a)(I - a A)^{-1} Y + 10^{-6}\bigr)

    The labelled samples' responsibilities count for their classes. A component that no labelled sample reaches takes
    its classes from the components that share unlabelled samples with it: the counts are propagated over the graph
    whose edges are the overlaps of the components.

    Args:
        labelled_resp: Responsibilities of the labelled samples. (L, K), >= 0.
        labels: Their classes, in [0, ``n_classes``). (L,) int64.
        overlap: :math:`R^T R` over all training samples. (K, K), >= 0.
        n_classes: C, the number of classes, >= 1.
        propagation: :math:`a` in [0, 1), how far labels travel; 0 counts a component's own labels only.

    Returns:
        (K, C) float64; every row sums to 1. A component without any evidence has all classes alike.

    Raises:
        TypeError: An argument is not a tensor or has the wrong dtype.
        ValueError: A shape or a value does not fit.

    Example:
        >>> import torch
        >>> labelled = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        >>> overlap = torch.tensor([[5.0, 1.0, 0.0], [1.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
        >>> component_label_probabilities(labelled, torch.tensor([0, 1]), overlap, 2).argmax(1)
        tensor([0, 0, 1])

    Reference:
        Zhou, Bousquet, Lal, Weston and Schölkopf, "Learning with local and global consistency", NeurIPS 2003.
    """
    _checks.floating("labelled_resp", labelled_resp)
    _checks.shape("labelled_resp", labelled_resp, ("L", "K"))
    L, K = labelled_resp.shape
    _checks.dtype("labels", labels, (torch.int64,))
    _checks.shape("labels", labels, (L,))
    _checks.floating("overlap", overlap)
    _checks.shape("overlap", overlap, (K, K))
    if L and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        _errors.fail_value("labels", f"classes in [0, {n_classes})", f"{int(labels.min())} ... {int(labels.max())}")
    check_propagation("propagation", propagation)
    counts = torch.zeros(K, n_classes, dtype=torch.float64, device=labelled_resp.device)
    counts.index_add_(1, labels, labelled_resp.double().mT)
    return _class_probabilities(counts, overlap, propagation)


def _class_probabilities(counts: Tensor, overlap: Tensor, propagation: float) -> Tensor:
    """The formula above, from the counts Y (K, C)."""
    identity = torch.eye(len(counts), dtype=torch.float64, device=counts.device)
    spread = torch.linalg.solve(identity - propagation * _normalise_rows(overlap.double()), counts)
    # the solution is a sum of products of numbers >= 0; rounding may leave it just below
    return _normalise_rows(counts + (1 - propagation) * spread.clamp_min(0) + _FLOOR)


def check_propagation(name: str, value: object) -> None:
    """`value` is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _errors.fail_type(name, "a number", type(value).__name__)
    if not 0 <= value < 1:
        _errors.fail_value(name, "a number in [0, 1)", value)


def check_labels(labels: Any, n_samples: int | None, device: torch.device) -> Tensor:
    """(N,) int64 class numbers >= 0, -1 where unknown; N may not be known yet."""
    given = _whole("labels", labels)
    _checks.shape("labels", given, ("N" if n_samples is None else n_samples,))
    checked = given.to(device)
    if bool((checked < -1).any()):
        _errors.fail_value("labels", "class numbers >= 0, -1 where unknown", int(checked.min()))
    return checked


def check_decoding(classes: Any, table: Any, n_components: int) -> tuple[Tensor, Tensor]:
    """`classes_`, (C,) int64, and `component_label_proba_`, (K, C) float64, of a mixture, however they were set."""
    numbers = _whole("classes_", classes)
    _checks.shape("classes_", numbers, ("C",))
    if not len(numbers) or bool((numbers < 0).any()) or len(numbers.unique()) < len(numbers):
        _errors.fail_value("classes_", "different class numbers >= 0", numbers.tolist())
    proba = _arrays.tensor(table, name="component_label_proba_")
    _checks.shape("component_label_proba_", proba, (n_components, len(numbers)))
    if (row := bad_row(proba)) is not None:
        _errors.fail_value("component_label_proba_", "rows >= 0 that sum to 1", f"{proba[row].tolist()} in row {row}")
    return numbers, proba


def bad_row(proba: Tensor) -> int | None:
    """The number of the first row, of (K, C), that holds no probabilities with sum 1; None if there is none."""
    # 1e-3: a half type may have rounded them; NaN is not below it
    good = (proba >= 0).all(1) & ((proba.double().sum(1) - 1).abs() <= 1e-3)
    return None if bool(good.all()) else int(good.logical_not().nonzero()[0])


def _whole(name: str, values: Any) -> Tensor:
    """Whole numbers, however they are given, as an int64 tensor."""
    if not isinstance(values, Tensor):
        return torch.from_numpy(_arrays.integers(name, values))
    _arrays.check_dense(name, values)
    if values.dtype == torch.uint64:  # which torch would take for negative ones where they are large
        return torch.from_numpy(_arrays.integers(name, values.cpu().numpy())).to(values.device)
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        _errors.fail_type(name, "integers", str(values.dtype))
    return values.to(torch.int64)


def classes_of(source: Source) -> Tensor:
    """The classes that occur in any process, in ascending order, (C,)."""
    with source.group.agreeing():
        own = [shard.counted_labels().unique() for shard in source.shards()]
    classes: Tensor = source.group.gather(torch.cat(own)).unique()
    if not len(classes):
        fail_without_classes()
    return classes


def fail_without_classes() -> NoReturn:
    """Raise what is said where no label is known."""
    _errors.fail_value("labels", "class numbers >= 0, at least one known", "none but -1")


def decode_from_labels(
    source: Source, parameters: MixtureParameters, covariance_type: str, n_classes: int, *, propagation: float
) -> Tensor:
    """`component_label_probabilities` from all samples of a source, as a mixture without regard to labels sees them.

    A sample weight counts a sample, labelled or not, so many times.
    """
    K = len(parameters.weights)
    counts = torch.zeros(K, n_classes, dtype=torch.float64, device=parameters.weights.device)
    overlap = torch.zeros(K, K, dtype=torch.float64, device=counts.device)
    with source.group.agreeing():
        for shard in source.shards():
            assert shard.labels is not None
            batch = source.preparation.plain(shard.x, shard.weight)
            resp = batch.responsibilities(parameters, covariance_type)
            weighted = resp if shard.weight is None else resp * shard.weight[:, None]
            overlap += resp.mT.to(weighted.dtype) @ weighted
            known = shard.labels >= 0
            counts.index_add_(1, shard.labels[known], weighted[known].double().mT)
    counts, overlap = source.group.sum([counts, overlap])
    if source.mean_weight is not None:
        counts /= source.mean_weight.clamp_max(1)  # light samples are evidence too, beside which the floor is nothing
    return _class_probabilities(counts, overlap, propagation)


def _normalise_rows(matrix: Tensor) -> Tensor:
    return matrix / matrix.sum(1, keepdim=True).clamp_min(1e-300)
