"""Classification of images by a ResNet-15; also the judge of pictures that other systems draw."""

from latentcore.systems.classifier.config import PRESETS, ClassifierConfig
from latentcore.training.system import System

SYSTEM = System(
    name="classifier",
    does="classes of images by a ResNet-15, which judges what other systems draw",
    config=ClassifierConfig,
    presets=PRESETS,
    training="latentcore.systems.classifier.training:Training",
    run="latentcore.systems.classifier.run:ClassifierRun",
    checked="latentcore.systems.classifier.command:check",
    evaluate="latentcore.systems.classifier.command:evaluate",
    draws=False,
    headlines=("test_accuracy", "test_accuracy_rotated"),
)
