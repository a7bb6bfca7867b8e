"""Measured configurations, by name."""

from latentcore.training.classifier import ClassifierConfig
from latentcore.training.few_label import FewLabelConfig
from latentcore.training.presets.classifier import ROTATED_DIGITS, UPRIGHT_DIGITS
from latentcore.training.presets.few_label import DIGITS148, PLAIN
from latentcore.training.presets.gan import GANS

FEW_LABEL: dict[str, FewLabelConfig] = {"digits148": DIGITS148, "plain": PLAIN}
CLASSIFIERS: dict[str, ClassifierConfig] = {"rotated": ROTATED_DIGITS, "upright": UPRIGHT_DIGITS}

__all__ = [
    "CLASSIFIERS",
    "DIGITS148",
    "FEW_LABEL",
    "GANS",
    "PLAIN",
    "ROTATED_DIGITS",
]
