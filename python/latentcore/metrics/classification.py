"""Figures of a classifier, by scikit-learn."""

from dataclasses import dataclass
from typing import Any

from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support


@dataclass(frozen=True)
class ClassificationReport:
    """Figures in [0, 1].

    Attributes:
        accuracy: Share of right answers.
        precision: Macro average over the classes.
        recall: Macro average over the classes.
        f1_macro: Macro average over the classes.
        f1_score: (macro F1 + micro F1) / 2.
    """

    accuracy: float
    precision: float
    recall: float
    f1_macro: float
    f1_score: float


def classification_report(labels: Any, predicted: Any) -> ClassificationReport:
    """Compare predicted labels (N,) with the true ones (N,); a class without predictions counts 0.

    Example:
        >>> classification_report([1, 4, 8, 8], [1, 4, 8, 4]).accuracy
        0.75
    """
    precision, recall, macro, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    micro = f1_score(labels, predicted, average="micro")
    accuracy = accuracy_score(labels, predicted)
    return ClassificationReport(*map(float, (accuracy, precision, recall, macro, (macro + micro) / 2)))
