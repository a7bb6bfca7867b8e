"""`latentcore train rotation`, the evaluation of its runs, and `latentcore transform`."""

from collections.abc import Sequence
from pathlib import Path

from latentcore import _config
from latentcore.commands.inputs import check_alone, data_folder
from latentcore.commands.tables import finish
from latentcore.data import ImageSet, mnist, read_image
from latentcore.evaluate import rotation as evaluation
from latentcore.evaluate.rotation_pictures import write_pictures
from latentcore.plots import save_image
from latentcore.train.classifier import ClassifierRun
from latentcore.train.objectives import TransformationLoss
from latentcore.train.presets import ROTATIONS
from latentcore.train.rotation import RotationConfig, RotationRun, resume_rotation, train_rotation
from latentcore.train.runs import load_run, read_json
from latentcore.train.systems import configuration_of

_STUDY_DIGITS = (1, 2)


def train(
    *, data: Path | None, classifier: Path | None, resume: Path | None, run_dir: Path | None, **new: object
) -> None:
    """Train a system on MNIST, evaluate it on the test images and draw its pictures."""
    folder = data_folder(data)
    judge = open_classifier(classifier)
    if resume is not None:
        check_alone({**new, "run_dir": run_dir})
        known = digits_of(folder, "train", _digits_in(resume))
        run = resume_rotation(resume, known.images, labels=known.labels)
    else:
        config, digits = configured(**new)  # type: ignore[arg-type]  # the options of the parser
        run = begin(digits_of(folder, "train", digits), config, digits, run_dir)
    report(run, data, judge)


def begin(
    images: ImageSet, config: RotationConfig, digits: Sequence[int], run_dir: Path | None, vae: Path | None = None
) -> RotationRun:
    """Train a system on digits; its folder knows which."""
    source = {"digits": list(digits), "image_shape": list(images.images.shape[1:])}
    return train_rotation(images.images, config, run_dir, labels=images.labels, vae=vae, source=source)


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


def open_classifier(folder: Path | None) -> ClassifierRun | None:
    """The run that judges whether labels are kept."""
    if folder is None:
        return None
    run = load_run(folder)
    if not isinstance(run, ClassifierRun):
        raise ValueError(
            f"--classifier: expected a run of the system 'classifier', got one of {run.config['system']!r}"
        )
    return run


def report(run: RotationRun, data: Path | None, classifier: Path | ClassifierRun | None) -> None:
    """Evaluate a run on MNIST's test images of its digits."""
    test = digits_of(data_folder(data), "test", _digits_in(run.folder))
    judge = open_classifier(classifier) if isinstance(classifier, Path) else classifier
    measured = evaluation.measure(run, test, judge)
    found = {**evaluation.figures(measured), "test_images": len(test)}
    if judge is not None:
        found["classifier_accuracy"] = evaluation.classifier_accuracy(judge, test)
    write_pictures(run, test, measured)
    finish(run, found)


def transform(
    *,
    run: Path,
    image: Path,
    angle: float,
    scale: float,
    translate: tuple[float, float],
    invert: bool,
    out: Path,
) -> None:
    """Encode an image, transform its latents, write what they decode to."""
    opened = load_run(run)
    if not isinstance(opened, RotationRun):
        raise ValueError(f"{run}: expected a run of the system 'rotation', got one of {opened.config['system']!r}")
    shape = opened.config["source"].get("image_shape", opened.model.config.image_shape)
    pixels = read_image(image, tuple(shape)).unsqueeze(0)
    pixels = evaluation.on_canvas(opened, 255 - pixels if invert else pixels)
    z = opened.transform(opened.encode(pixels), angle, scale=scale, translate=translate)
    save_image(opened.decode(z)[0], out)
    print(f"{out}: {image.name}, angle {angle:g}, scale {scale:g}, translation {translate[0]:g},{translate[1]:g}")


def _digits_in(folder: Path) -> tuple[int, ...]:
    """The digits that a run has learned."""
    digits = read_json(folder / "config.json").get("source", {}).get("digits")
    if not isinstance(digits, list):
        raise ValueError(f"{folder}: expected a run of `latentcore train rotation`, got another")
    return tuple(int(digit) for digit in digits)
