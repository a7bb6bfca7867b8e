"""`latentcore train rotation`, the evaluation of its runs, and `latentcore transform`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentcore import _config
from latentcore._files import read_config, read_json
from latentcore.commands.held_out import check_own, is_own, record_of_test
from latentcore.commands.inputs import check_alone, data_folder
from latentcore.commands.outputs import place_of
from latentcore.data import ImageSet, mnist, read_image
from latentcore.data.held_out import describe
from latentcore.evaluate import rotation as evaluation
from latentcore.evaluate.rotation_pictures import write_pictures
from latentcore.plots import save_image
from latentcore.terminal.tables import finish
from latentcore.training.classifier import ClassifierRun
from latentcore.training.objectives import TransformationLoss
from latentcore.training.presets import ROTATIONS
from latentcore.training.rotation import RotationConfig, RotationRun, resume_rotation, train_rotation
from latentcore.training.runs import load_run
from latentcore.training.systems import configuration_of

_STUDY_DIGITS = (1, 2)


def train(
    *, data: Path | None, classifier: Path | None, resume: Path | None, run_dir: Path | None, **new: object
) -> None:
    """Train a system on MNIST, evaluate it on the test images and draw its pictures."""
    folder = data_folder(data)
    if resume is not None:
        check_alone({**new, "run_dir": run_dir})
        judge = open_classifier(classifier, configuration_of(resume / "config.json", RotationConfig))
        known, test = parts_of(folder, digits_in(resume))
        check_own(resume, record_of_test(folder, test))
        run = resume_rotation(resume, known.images, labels=known.labels)
    else:
        config, digits = configured(**new)  # type: ignore[arg-type]  # the options of the parser
        judge = open_classifier(classifier, config)
        known, test = parts_of(folder, digits)
        run = begin(known, config, digits, run_dir, record=record_of_test(folder, test))
    report(run, test, judge)


def begin(
    images: ImageSet,
    config: RotationConfig,
    digits: Sequence[int],
    run_dir: Path | None,
    vae: Path | None = None,
    *,
    record: Mapping[str, Any],
) -> RotationRun:
    """Train a system on digits; its folder knows which, and by its `record` what it is judged by."""
    source = {"digits": list(digits), "image_shape": list(images.images.shape[1:])}
    labels = images.labels
    return train_rotation(images.images, config, run_dir, labels=labels, vae=vae, source=source, held_out=record)


def configured(
    *,
    preset: str | None = None,
    digits: Sequence[int] | None = None,
    model: str | None = None,
    latent: int | None = None,
    activation: str | None = None,
    loss: str | None = None,
    config: Path | None = None,
    seed: int | None = None,
    epochs: int | None = None,
) -> tuple[RotationConfig, tuple[int, ...]]:
    """The configuration that the options describe, and the digits to learn."""
    if config is not None and preset is not None:
        raise ValueError("--config: expected no --preset beside it")
    chosen = ROTATIONS[preset or "rotation"] if config is None else configuration_of(config, RotationConfig)
    plain = _config.to_plain(chosen)
    for section, name, value in (
        ("operator", "model", model),
        ("operator", "activation", activation),
        ("vae", "activation", activation),
        ("vae", "latent", latent),
        ("train", "seed", seed),
        ("train", "epochs", epochs),
    ):
        if value is not None:
            plain[section][name] = value
    if seed is not None and plain["vae_train"] is not None:
        plain["vae_train"]["seed"] = seed
    if loss is not None:
        plain["loss"] = _config.to_plain(loss_of(loss))
    if digits is None and config is not None and "source" in read_json(config):
        digits = digits_in(config.parent)
    default = _STUDY_DIGITS if preset == "study" else tuple(range(10))
    return RotationConfig.from_dict(plain), tuple(digits or default)


def loss_of(text: str) -> TransformationLoss:
    """Weights such as `image=1,latent=0.1`; a word alone weighs 1."""
    weights = {"image": 0.0, "latent": 0.0, "cosine": 0.0}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        if name not in weights:
            raise ValueError(f"--loss: expected weights of {', '.join(weights)}, got {part!r}")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise ValueError(f"--loss: expected a number behind {name}=, got {weight!r}") from None
    return TransformationLoss(**weights)


def digits_of(folder: Path, split: str, digits: Sequence[int]) -> ImageSet:
    """Some digits of MNIST."""
    return mnist.load(folder, split).select(digits)


def parts_of(folder: Path, digits: Sequence[int]) -> tuple[ImageSet, ImageSet]:
    """Some digits of MNIST to learn from, and those to judge by."""
    return digits_of(folder, "train", digits), digits_of(folder, "test", digits)


def open_classifier(folder: Path | None, config: RotationConfig) -> ClassifierRun | None:
    """The run that judges whether labels are kept, on the images of a configuration."""
    if folder is None:
        return None
    run = load_run(folder)
    if not isinstance(run, ClassifierRun):
        found = run.config["system"]
        raise ValueError(f"--classifier: expected a run of the system 'classifier', got one of {found!r}")
    if run.model.config.image_shape != config.vae.image_shape:
        shape = run.model.config.image_shape
        raise ValueError(f"--classifier: expected one of images of shape {config.vae.image_shape}, got one of {shape}")
    return run


def report_on(run: RotationRun, data: Path | None, judge: ClassifierRun | None, out: Path | None) -> None:
    """Evaluate a run on MNIST's test images of its digits."""
    folder = data_folder(data)
    test = digits_of(folder, "test", digits_in(run.folder))
    place = place_of(run.folder, out, is_own(run.folder, test), folder.name, describe(test)["sha256"])
    report(run, test, judge, place)


def report(run: RotationRun, test: ImageSet, judge: ClassifierRun | None, out: Path | None = None) -> None:
    """Evaluate a run on test images of its digits."""
    measured = evaluation.measure(run, test, judge)
    found = {**evaluation.figures(measured), "test_images": len(test)}
    if judge is not None:
        images = evaluation.on_canvas(run, test.images)
        found["classifier_accuracy"] = evaluation.classifier_accuracy(judge, images, test.known_labels())
    finish(run, found, out)
    write_pictures(run, test, measured, out=out)


def transform(
    *,
    run: Path,
    image: Path,
    angle: float,
    scale: float,
    translate: Sequence[float],
    invert: bool,
    fit: bool,
    out: Path,
) -> None:
    """Encode an image, transform its latents, write what they decode to.

    An image of another size than the model's is an error, unless `fit` resizes it and cuts its centre out.
    """
    opened = load_run(run)
    if not isinstance(opened, RotationRun):
        raise ValueError(f"{run}: expected a run of the system 'rotation', got one of {opened.config['system']!r}")
    pixels = read_image(image, _image_shape(opened), fit=fit).unsqueeze(0)
    pixels = evaluation.on_canvas(opened, 255 - pixels if invert else pixels)
    z = opened.transform(opened.encode(pixels), angle, scale=scale, translate=(translate[0], translate[1]))
    save_image(opened.decode(z)[0], out)
    print(f"{out}: {image.name}, angle {angle:g}, scale {scale:g}, translation {translate[0]:g},{translate[1]:g}")


def digits_in(folder: Path) -> tuple[int, ...]:
    """The digits that a run has learned."""
    digits = _source(folder).get("digits")
    if not isinstance(digits, list) or not all(isinstance(digit, int) for digit in digits):
        raise ValueError(f"{folder}: expected a run of `latentcore train rotation`, got another")
    return tuple(digits)


def _image_shape(run: RotationRun) -> tuple[int, int, int]:
    """Of the images that the run has learned, before they came on a canvas."""
    shape = _source(run.folder).get("image_shape", run.model.config.image_shape)
    if not (isinstance(shape, list | tuple) and len(shape) == 3 and all(isinstance(side, int) for side in shape)):
        raise ValueError(
            f"{run.folder / 'config.json'}: source.image_shape: expected three whole numbers, got {shape!r}"
        )
    return shape[0], shape[1], shape[2]


def _source(folder: Path) -> dict[str, Any]:
    """Where the images of a run come from."""
    source = read_config(folder).get("source")
    if not isinstance(source, dict):
        found = type(source).__name__
        raise ValueError(f"{folder / 'config.json'}: source: expected an object, got {found}")
    return source
