"""`latentcore train few-label`, and the evaluation of its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore._files import read_config
from latentcore.commands.held_out import check_own, is_own, record_of_test
from latentcore.commands.inputs import check_alone, data_folder
from latentcore.commands.outputs import place_of
from latentcore.data import ImageSet, mnist
from latentcore.data.held_out import describe
from latentcore.evaluate import few_label as evaluate
from latentcore.terminal.tables import finish
from latentcore.training.few_label import FewLabelRun, plain_mixture, resume_few_label, train_few_label
from latentcore.training.presets import FEW_LABEL


def train(
    *,
    data: Path | None,
    classes: Sequence[int] | None,
    labels_per_class: int | None,
    preset: str | None,
    seed: int | None,
    epochs: int | None,
    resume: Path | None,
    run_dir: Path | None,
) -> None:
    """Train a few-label system on MNIST, evaluate it on the test images and draw its pictures."""
    folder = data_folder(data)
    if resume is not None:
        new = {"classes": classes, "labels_per_class": labels_per_class, "preset": preset, "seed": seed}
        check_alone({**new, "epochs": epochs, "run_dir": run_dir})
        _finish(*_resumed(resume, folder))
        return
    config = FEW_LABEL[preset or "digits148"]
    config = replace(config, train=replace(config.train, seed=seed or 0, epochs=epochs or config.train.epochs))
    chosen = list(classes or (1, 4, 8))
    source = {"classes": chosen, "labels_per_class": labels_per_class or 5}
    images, labelled = _draw(folder, source, config.train.seed)
    test = _test(folder, chosen)
    record = record_of_test(folder, test)
    given = (images.images, labelled.images, labelled.labels)
    run = train_few_label(*given, config, run_dir, source=source, held_out=record)
    _finish(run, images, labelled, test)


def _resumed(run_folder: Path, folder: Path) -> tuple[FewLabelRun, ImageSet, ImageSet, ImageSet]:
    """Go on with an interrupted run of `train`."""
    saved = read_config(run_folder)
    try:
        source, seed = saved["source"], int(saved["train"]["seed"])
        classes, count = [int(c) for c in source["classes"]], int(source["labels_per_class"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{run_folder}: expected a run of `latentcore train few-label`, got another") from None
    images, labelled = _draw(folder, {"classes": classes, "labels_per_class": count}, seed)
    test = _test(folder, classes)
    check_own(run_folder, record_of_test(folder, test))
    run = resume_few_label(run_folder, images.images, labelled.images, labelled.labels)
    return run, images, labelled, test


def _draw(folder: Path, source: Mapping[str, Any], seed: int) -> tuple[ImageSet, ImageSet]:
    """The training images of some classes, and the few of them whose labels are known."""
    images = mnist.load(folder, "train").select(source["classes"])
    return images, images.draw(source["labels_per_class"], seed=seed)


def _test(folder: Path, classes: Sequence[int]) -> ImageSet:
    return mnist.load(folder, "test").select(classes)


def _finish(run: FewLabelRun, images: ImageSet, labelled: ImageSet, test: ImageSet) -> None:
    plain = plain_mixture(run, images.images, labelled.images, labelled.labels)
    _report(run, test, {"f1_plain": evaluate.plain_f1(plain, run, test)})


def report_on(run: FewLabelRun, data: Path | None, out: Path | None) -> None:
    """Evaluate a run on MNIST's test images of its classes."""
    folder = data_folder(data)
    test = _test(folder, [int(c) for c in run.mixture.classes_])
    place = place_of(run.folder, out, is_own(run.folder, test), folder.name, describe(test)["sha256"])
    _report(run, test, {}, place)


def _report(run: FewLabelRun, test: ImageSet, more: dict[str, float], out: Path | None = None) -> None:
    evaluate.write_pictures(run, test, out=out)
    finish(run, {**evaluate.figures(run, test), **more}, out)
