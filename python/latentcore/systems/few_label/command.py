"""What the command line does with few-label systems beside training them."""

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
    from latentcore.systems.few_label import evaluation, pictures

    pictures.write_pictures(run, data.test, folder)
    return evaluation.figures(run, data)
