"""Measured configurations, by name."""

from latentcore.train.few_label import FewLabelConfig
from latentcore.train.presets.few_label import DIGITS148, PLAIN

FEW_LABEL: dict[str, FewLabelConfig] = {"digits148": DIGITS148, "plain": PLAIN}

__all__ = ["DIGITS148", "FEW_LABEL", "PLAIN"]
