"""Measured configurations, by name."""

from latentcore.training.classifier import ClassifierConfig
from latentcore.training.few_label import FewLabelConfig
from latentcore.training.presets.classifier import ROTATED_DIGITS, UPRIGHT_DIGITS
from latentcore.training.presets.few_label import DIGITS148, PLAIN
from latentcore.training.presets.gan import GANS
from latentcore.training.presets.rotation import FROZEN, HELD_OUT, NEVER_TURNED, ROTATION, SCALE_TRANSLATE, STUDY
from latentcore.training.rotation import RotationConfig

FEW_LABEL: dict[str, FewLabelConfig] = {"digits148": DIGITS148, "plain": PLAIN}
CLASSIFIERS: dict[str, ClassifierConfig] = {"rotated": ROTATED_DIGITS, "upright": UPRIGHT_DIGITS}
ROTATIONS: dict[str, RotationConfig] = {
    "rotation": ROTATION,
    "frozen": FROZEN,
    "study": STUDY,
    "held-out": HELD_OUT,
    "never-turned": NEVER_TURNED,
    "scale-translate": SCALE_TRANSLATE,
}

__all__ = [
    "CLASSIFIERS",
    "DIGITS148",
    "FEW_LABEL",
    "FROZEN",
    "GANS",
    "HELD_OUT",
    "NEVER_TURNED",
    "PLAIN",
    "ROTATED_DIGITS",
    "ROTATION",
    "ROTATIONS",
    "SCALE_TRANSLATE",
    "STUDY",
]
