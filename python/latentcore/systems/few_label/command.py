"""What the command line does with few-label systems beside training them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore.data.examples import Examples
from latentcore.systems.few_label.config import FewLabelConfig
from latentcore.training.system import NoOptions


def check(config: FewLabelConfig, data: Examples, options: NoOptions) -> None:
    """The images fit the VAE, and those to judge by have labels."""
    from latentcore.data.image_sets import check_fit

    check_fit(data, config.vae.image_shape, labelled=True)


def evaluate(run: Any, data: Examples, options: NoOptions, folder: Path) -> dict[str, float]:
    """Draw a run's pictures and judge it."""
    from latentcore.data.image_sets import of_classes
    from latentcore.systems.few_label import evaluation, pictures

    # runs of 0.1.0 that were made in Python have not written their classes down
    data = replace(data, test=of_classes(data.test, run.config.classes or run.mixture.classes_.tolist()))
    pictures.write_pictures(run, data.test, folder)
    return evaluation.figures(run, data)
