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
    """Draw a run's pictures and judge it, after a training beside a mixture with one component per class."""
    from latentcore.systems.few_label import evaluation, pictures
    from latentcore.systems.few_label.mixture import plain_mixture
    from latentcore.systems.few_label.sources import labelled_images

    pictures.write_pictures(run, data.test, folder)
    found = evaluation.figures(run, data.test)
    if data.train is None:
        return found
    plain = plain_mixture(run, data.train.images, labelled_images(data, run.config))
    return {**found, "f1_plain": evaluation.plain_f1(plain, run, data.test)}
