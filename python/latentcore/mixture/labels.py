"""From components to classes with few labels: soft decoding, helped by label propagation between components.

A mixture with more components than classes is fitted without labels; a few labelled samples then say which class each
component stands for.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks

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
        _checks.fail_value("labels", f"classes in [0, {n_classes})", f"{int(labels.min())} ... {int(labels.max())}")
    check_propagation("propagation", propagation)
    counts = torch.zeros(K, n_classes, dtype=torch.float64, device=labelled_resp.device)
    counts.index_add_(1, labels, labelled_resp.double().mT)
    identity = torch.eye(K, dtype=torch.float64, device=counts.device)
    spread = torch.linalg.solve(identity - propagation * _normalise_rows(overlap.double()), counts)
    # the solution is a sum of products of numbers >= 0; rounding may leave it just below
    return _normalise_rows(counts + (1 - propagation) * spread.clamp_min(0) + _FLOOR)


def check_propagation(name: str, value: object) -> None:
    """`value` is a number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _checks.fail_type(name, "a number", type(value).__name__)
    if not 0 <= value < 1:
        _checks.fail_value(name, "a number in [0, 1)", value)


def check_labels(labels: Any, n_samples: int, device: torch.device) -> Tensor:
    """(N,) int64 class numbers >= 0, -1 where unknown, at least one of them known."""
    if not isinstance(labels, Tensor):
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu":
            _checks.fail_type("labels", "integers", str(labels.dtype))
        labels = torch.from_numpy(labels.astype(np.int64))
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        _checks.fail_type("labels", "integers", str(labels.dtype))
    _checks.shape("labels", labels, (n_samples,))
    labels = labels.to(device, torch.int64)
    if int(labels.min()) < -1 or int(labels.max()) < 0:
        _checks.fail_value(
            "labels",
            "class numbers >= 0, -1 where unknown, at least one known",
            f"{int(labels.min())} ... {int(labels.max())}",
        )
    checked: Tensor = labels
    return checked


def decode_from_labels(
    resp: Tensor, labels: Tensor, *, sample_weight: Tensor | None = None, propagation: float = 0.9
) -> tuple[Tensor, Tensor]:
    """The classes that occur, (C,), and `component_label_probabilities` from all (N, K) responsibilities.

    `labels` are `check_labels`'; a sample weight counts a sample, labelled or not, so many times.
    """
    weighted = resp if sample_weight is None else resp * sample_weight[:, None]
    known = labels >= 0
    classes, indices = labels[known].unique(return_inverse=True)
    table = component_label_probabilities(
        weighted[known], indices, resp.mT @ weighted, len(classes), propagation=propagation
    )
    return classes, table


def _normalise_rows(matrix: Tensor) -> Tensor:
    return matrix / matrix.sum(1, keepdim=True).clamp_min(1e-300)
