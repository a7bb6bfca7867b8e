"""What the command line does with classifiers beside training them."""

from pathlib import Path
from typing import Any

from latentcore.data.examples import Examples
from latentcore.systems.classifier.config import ClassifierConfig
from latentcore.training.system import NoOptions


def check(config: ClassifierConfig, data: Examples, options: NoOptions) -> None:
    """The images fit the network, and those to judge by have labels."""
    from latentcore.data.image_sets import check_fit

    check_fit(data, config.resnet.image_shape, labelled=True)


def evaluate(run: Any, data: Examples, options: NoOptions, folder: Path) -> dict[str, float]:
    """Judge a run; it draws nothing."""
    from latentcore.systems.classifier import evaluation

    return evaluation.figures(run, data.test)
