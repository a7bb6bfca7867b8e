"""Figures of a training."""

from collections.abc import Mapping, Sequence

from torch import nn


def count(module: nn.Module) -> int:
    """Numbers that a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def rate(history: Sequence[Mapping[str, float]], unit: str = "images") -> float:
    """Examples per second over all epochs of a training."""
    examples = sum(row[f"{unit}_per_second"] * row["seconds"] for row in history)
    return examples / sum(row["seconds"] for row in history)
