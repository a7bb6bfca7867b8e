"""`latentcore train few-label` and `latentcore evaluate`."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from latentcore.commands.tables import number, show
from latentcore.data import ImageSet, mnist
from latentcore.evaluate import few_label as evaluate
from latentcore.train.few_label import FewLabelRun, plain_mixture, resume_few_label, train_few_label
from latentcore.train.presets import FEW_LABEL
from latentcore.train.runs import load_run, read_json, write_json


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
    classes: Sequence[int],
    labels_per_class: int,
    preset: str | None,
    seed: int,
    epochs: int | None,
    run_dir: Path | None,
    resume: Path | None,
) -> None:
    """Train a few-label system on MNIST, evaluate it on the test images and draw its pictures."""
    folder = data_folder(data)
    if resume is not None:
        if preset or epochs or run_dir:
            raise ValueError("--resume: expected no --preset, --epochs or --run-dir beside it: the run has its own")
        saved = read_json(resume / "config.json")
        seed = saved.get("train", {}).get("seed", seed)
    images = mnist.load(folder, "train").select(classes)
    labelled = images.draw(labels_per_class, seed=seed)
    if resume is not None:
        run = resume_few_label(resume, images.images, labelled.images, labelled.labels)
    else:
        config = FEW_LABEL[preset or "digits148"]
        config = replace(config, train=replace(config.train, seed=seed, epochs=epochs or config.train.epochs))
        run = train_few_label(images.images, labelled.images, labelled.labels, config, run_dir)
    test = mnist.load(folder, "test").select(classes)
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
