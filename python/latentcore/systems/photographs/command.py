"""What the command line does with VAEs of photographs beside training them."""

from pathlib import Path
from typing import Any

from latentcore import _errors
from latentcore.data.examples import Examples
from latentcore.systems.photographs.config import PhotographsConfig, PhotographsOptions


def check(config: PhotographsConfig, data: Examples, options: PhotographsOptions) -> None:
    """Photographs are of the configured size, and there are some to judge by."""
    shape = config.vae.image_shape
    for images in (data.train, data.test):
        if images is not None and tuple(images.images.shape[1:]) != shape:
            _errors.fail_value(data.name, f"images of {shape}", tuple(images.images.shape[1:]))
    if len(data.test) < 2:
        _errors.fail_value(data.name, "at least 2 photographs to judge by", len(data.test))


def evaluate(run: Any, data: Examples, options: PhotographsOptions, folder: Path) -> dict[str, float]:
    """Judge a run by photographs that it has not seen, and draw its pictures."""
    from latentcore.data import ImageFolder
    from latentcore.systems.photographs import evaluation, pictures

    # images of an array have no names but their numbers
    names = data.test.paths if isinstance(data.test, ImageFolder) else range(len(data.test))
    pictures.write_pictures(run, data.test.images, names, folder)
    return evaluation.figures(run, data.test.images)
