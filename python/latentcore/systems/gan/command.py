"""What the command line does with GANs beside training them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentcore import _errors
from latentcore.data.examples import Examples
from latentcore.systems.gan.config import GANOptions, GANTraining


def check(config: GANTraining, data: Examples, options: GANOptions) -> None:
    """Images and runs to compare with are such that samples can be compared with them."""
    from latentcore.data.image_sets import check_fit

    shape = config.gan.image_shape
    check_fit(data, shape)
    if options.classifier is not None:
        if not hasattr(options.classifier, "features"):
            found = options.classifier.system
            _errors.fail_value("classifier", "a run of the system 'classifier'", f"one of {found!r}")
        _check_shape("classifier", options.classifier, shape)
        if data.test is not None and len(data.test) < 2:
            _errors.fail_value("--test", "at least 2 images to compare samples with", len(data.test))
    if options.beside is not None:
        _check_sampler(options.beside)
        _check_shape("beside", options.beside, shape)


def evaluate(run: Any, data: Examples, options: GANOptions, folder: Path) -> dict[str, float]:
    """Draw a run's pictures, and judge its samples where there is a classifier."""
    from latentcore.systems.gan import evaluation, pictures

    pictures.write_pictures(run, data.train, data.test, folder / "pictures", beside=options.beside)
    if options.classifier is None:
        return {}
    return evaluation.figures(run, options.classifier, data.train, data.test, beside=options.beside)


def _check_sampler(run: Any) -> None:
    """It draws images, and needs to be told nothing for that."""
    draws = hasattr(run.model, "prior") or hasattr(run.model, "draw")  # of latents that it knows the distribution of
    if not draws or getattr(run.model.config, "classes", False):
        _errors.fail_value("beside", "a run of a GAN, or of a VAE without classes", f"one of {run.system!r}")


def _check_shape(name: str, run: Any, expected: Sequence[int]) -> None:
    if tuple(run.model.config.image_shape) != tuple(expected):
        _errors.fail_value(name, f"images of {tuple(expected)}", f"{tuple(run.model.config.image_shape)}")
