"""`latentcore train gan`, and the evaluation of its runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore.commands.held_out import Where, divided, found_again, resumed
from latentcore.commands.inputs import check_alone
from latentcore.commands.outputs import place_of
from latentcore.commands.tables import finish
from latentcore.data import ImageSet
from latentcore.data.hashes import fingerprint
from latentcore.data.held_out import describe
from latentcore.evaluate import gan as evaluation
from latentcore.models import VAE
from latentcore.training.autoencoder import AutoencoderRun
from latentcore.training.classifier import ClassifierRun
from latentcore.training.gan import GANRun, GANTraining, resume_gan, train_gan
from latentcore.training.presets import GANS
from latentcore.training.runs import load_run
from latentcore.training.systems import check_same_data, configuration_of


def train(
    *,
    data: Path | None,
    test: Path | None,
    channels_last: bool | None,
    preset: str | None,
    config: Path | None,
    classifier: Path | None,
    beside: Path | None,
    seed: int | None,
    epochs: int | None,
    resume: Path | None,
    run_dir: Path | None,
) -> None:
    """Train a GAN, draw its pictures, and where there is a classifier evaluate its samples."""
    where = Where(data, test, channels_last)
    images = divided(where) if resume is None else resumed(resume, where)
    shape = tuple(images.train.images.shape[1:])
    judge, other = open_classifier(classifier, shape), open_sampler(beside, shape)
    if judge is not None:
        _check_enough(images.test)
    if resume is not None:
        check_alone({"preset": preset, "config": config, "seed": seed, "epochs": epochs, "run_dir": run_dir})
        run = resume_gan(resume, images.train.images)
    else:
        chosen = _configured(preset, config, shape, seed, epochs)
        run = train_gan(images.train.images, chosen, run_dir, held_out=images.record)
    report(run, images.train, images.test, judge, other)


def _configured(
    preset: str | None, config: Path | None, shape: Sequence[int], seed: int | None, epochs: int | None
) -> GANTraining:
    """The configuration that the options describe; a preset takes the images' own size."""
    if preset is not None and config is not None:
        raise ValueError("--config: expected no --preset beside it")
    own = GANS[preset or "digits"].for_images(shape)
    chosen = own if config is None else configuration_of(config, GANTraining)
    changes: dict[str, Any] = {"seed": seed, "epochs": epochs}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(chosen, train=replace(chosen.train, **given))


def open_classifier(folder: Path | None, shape: Sequence[int]) -> ClassifierRun | None:
    """The run whose features samples are compared in, of images (C, H, W)."""
    if folder is None:
        return None
    run = load_run(folder)
    if not isinstance(run, ClassifierRun):
        raise ValueError(f"{folder}: expected a run of `latentcore train classifier`, got {run.config['system']!r}")
    _check_shape(folder, run.model.config.image_shape, shape)
    return run


def open_sampler(folder: Path | None, shape: Sequence[int]) -> evaluation.Sampler | None:
    """A run of a VAE or a GAN that needs nothing to draw images (C, H, W)."""
    if folder is None:
        return None
    run = load_run(folder)
    draws = isinstance(run, GANRun) or (isinstance(run, AutoencoderRun) and isinstance(run.model, VAE))
    if not draws or (isinstance(run, AutoencoderRun) and run.model.config.classes):
        raise ValueError(f"{folder}: expected a run of a GAN, or of a VAE without classes, got another one")
    _check_shape(folder, run.model.config.image_shape, shape)
    sampler: evaluation.Sampler = run
    return sampler


def report(
    run: GANRun,
    train: ImageSet,
    test: ImageSet,
    classifier: ClassifierRun | None,
    beside: evaluation.Sampler | None,
    out: Path | None = None,
) -> None:
    """Draw a run's pictures, and evaluate its samples where there is a classifier."""
    pictures = evaluation.write_pictures(run, train, test, beside=beside, out=out)
    found = {} if classifier is None else evaluation.figures(run, classifier, train, test, beside=beside)
    finish(run, found, out)
    print(f"pictures     {', '.join(path.name for path in pictures)}")


def report_on(
    run: GANRun,
    data: Path | None,
    test: Sequence[Path] | None,
    classifier: Path | None,
    beside: Path | None,
    *,
    channels_last: bool | None,
    out: Path | None,
) -> None:
    """Evaluate a run beside the images that the options lead to."""
    if test and len(test) != 1:
        raise ValueError(f"--test: expected one file of images, got {len(test)}")
    images = found_again(run.folder, Where(data, test[0] if test else None, channels_last))
    shape = run.model.config.image_shape
    _check_shape(images.name, images.train.images.shape[1:], shape)
    _check_shape(images.name, images.test.images.shape[1:], shape)
    if classifier is not None:
        _check_enough(images.test)
    if images.record is not None:
        check_same_data(run.folder, "--data", fingerprint(images.train.images))
    judge, other = open_classifier(classifier, shape), open_sampler(beside, shape)
    place = place_of(run.folder, out, images.own, images.name, describe(images.test)["sha256"])
    report(run, images.train, images.test, judge, other, place)


def _check_enough(test: ImageSet) -> None:
    """There is a distance to the images."""
    if len(test) < 2:
        raise ValueError(f"--test: expected at least 2 images to compare samples with, got {len(test)}")


def _check_shape(place: Path | str, found: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(found) != tuple(expected):
        raise ValueError(f"{place}: expected images of {tuple(expected)}, got {tuple(found)}")
