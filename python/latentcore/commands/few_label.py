"""`latentcore train few-label` and `latentcore evaluate`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore.commands.tables import number, show
from latentcore.data import ImageSet, mnist
from latentcore.evaluate import few_label as evaluate
from latentcore.train.few_label import FewLabelRun, plain_mixture, resume_few_label, train_few_label
from latentcore.train.presets import FEW_LABEL
from latentcore.train.runs import load_run, read_json, write_json

NEW_RUN = ("classes", "labels_per_class", "preset", "seed", "epochs", "run_dir")
"""The options that only a new run takes."""


def data_folder(data: Path | None) -> Path:
    """The folder of MNIST's files: `data`, or the environment's LATENTCORE_DATA."""
    if data is None and "LATENTCORE_DATA" not in os.environ:
        raise ValueError(
            "--data: expected a folder with MNIST's files (or LATENTCORE_DATA), got none; "
            "`latentcore data fetch mnist --out mnist` makes one"
        )
    return data if data is not None else Path(os.environ["LATENTCORE_DATA"])


def train(
    data: Path | None,
    classes: Sequence[int] | None,
    labels_per_class: int | None,
    preset: str | None,
    seed: int | None,
    epochs: int | None,
    run_dir: Path | None,
) -> None:
    """Train a few-label system on MNIST, evaluate it on the test images and draw its pictures."""
    config = FEW_LABEL[preset or "digits148"]
    config = replace(config, train=replace(config.train, seed=seed or 0, epochs=epochs or config.train.epochs))
    source = {"classes": list(classes or (1, 4, 8)), "labels_per_class": labels_per_class or 5}
    folder = data_folder(data)
    images, labelled = _draw(folder, source, config.train.seed)
    run = train_few_label(images.images, labelled.images, labelled.labels, config, run_dir, source=source)
    _finish(run, folder, images, labelled)


def resume(data: Path | None, run_folder: Path, **new: object) -> None:
    """Go on with an interrupted run of `train`; it has its own options."""
    if any(value is not None for value in new.values()):
        given = ", ".join(f"--{name.replace('_', '-')}" for name, value in new.items() if value is not None)
        raise ValueError(f"--resume: expected no {given} beside it: the run has its own")
    saved = read_json(run_folder / "config.json")
    try:
        source, seed = saved["source"], int(saved["train"]["seed"])
        classes, count = [int(c) for c in source["classes"]], int(source["labels_per_class"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{run_folder}: expected a run of `latentcore train few-label`, got another") from None
    folder = data_folder(data)
    images, labelled = _draw(folder, {"classes": classes, "labels_per_class": count}, seed)
    _finish(resume_few_label(run_folder, images.images, labelled.images, labelled.labels), folder, images, labelled)


def _draw(folder: Path, source: Mapping[str, Any], seed: int) -> tuple[ImageSet, ImageSet]:
    """The training images of some classes, and the few of them whose labels are known."""
    images = mnist.load(folder, "train").select(source["classes"])
    return images, images.draw(source["labels_per_class"], seed=seed)


def _finish(run: FewLabelRun, folder: Path, images: ImageSet, labelled: ImageSet) -> None:
    test = mnist.load(folder, "test").select([int(c) for c in run.mixture.classes_])
    plain = plain_mixture(run, images.images, labelled.images, labelled.labels)
    _report(run, test, {"f1_plain": evaluate.plain_f1(plain, run, test)})


def evaluate_run(folder: Path, data: Path | None) -> None:
    """Evaluate a few-label run on MNIST's test images of its classes."""
    run = load_run(folder)
    if not isinstance(run, FewLabelRun):
        raise ValueError(f"{folder}: expected a run of the few-label system, got one of {run.config.get('system')!r}")
    classes = [int(c) for c in run.mixture.classes_]
    _report(run, mnist.load(data_folder(data), "test").select(classes), {})


def _report(run: FewLabelRun, test: ImageSet, more: dict[str, float]) -> None:
    found = {**run.metrics, **evaluate.figures(run, test), **more}
    write_json(run.folder / "metrics.json", found)
    evaluate.write_pictures(run, test)
    show("figures", {name: number(value) for name, value in found.items()})
    print(f"\nrun folder   {run.folder}")
