"""Measured configurations, by name."""

from latentcore.train.classifier import ClassifierConfig
from latentcore.train.egamma import EgammaConfig
from latentcore.train.few_label import FewLabelConfig
from latentcore.train.presets.autoencoder import AUTOENCODERS
from latentcore.train.presets.classifier import ROTATED_DIGITS, UPRIGHT_DIGITS
from latentcore.train.presets.egamma import EGAMMA, SMALL
from latentcore.train.presets.few_label import DIGITS148, PLAIN
from latentcore.train.presets.gan import GANS
from latentcore.train.presets.photographs import PHOTOGRAPHS
from latentcore.train.presets.rotation import FROZEN, HELD_OUT, NEVER_TURNED, ROTATION, SCALE_TRANSLATE, STUDY
from latentcore.train.rotation import RotationConfig

FEW_LABEL: dict[str, FewLabelConfig] = {"digits148": DIGITS148, "plain": PLAIN}
CLASSIFIERS: dict[str, ClassifierConfig] = {"rotated": ROTATED_DIGITS, "upright": UPRIGHT_DIGITS}
EGAMMAS: dict[str, EgammaConfig] = {"egamma": EGAMMA, "small": SMALL}
ROTATIONS: dict[str, RotationConfig] = {
    "rotation": ROTATION,
    "frozen": FROZEN,
    "study": STUDY,
    "held-out": HELD_OUT,
    "never-turned": NEVER_TURNED,
    "scale-translate": SCALE_TRANSLATE,
}

__all__ = [
    "AUTOENCODERS",
    "CLASSIFIERS",
    "DIGITS148",
    "EGAMMA",
    "EGAMMAS",
    "FEW_LABEL",
    "FROZEN",
    "GANS",
    "HELD_OUT",
    "NEVER_TURNED",
    "PHOTOGRAPHS",
    "PLAIN",
    "ROTATED_DIGITS",
    "ROTATION",
    "ROTATIONS",
    "SCALE_TRANSLATE",
    "SMALL",
    "STUDY",
    "UPRIGHT_DIGITS",
]
