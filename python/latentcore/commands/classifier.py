"""`latentcore train classifier`, and the evaluation of its runs."""

from dataclasses import replace
from pathlib import Path

from latentcore import metrics
from latentcore.commands.held_out import check_own, is_own, record_of_test
from latentcore.commands.inputs import check_alone, data_folder
from latentcore.commands.outputs import place_of
from latentcore.data import ImageSet, mnist
from latentcore.data.held_out import describe
from latentcore.evaluate.rotation import classifier_accuracy
from latentcore.terminal.tables import finish
from latentcore.training.classifier import ClassifierRun, resume_classifier, train_classifier
from latentcore.training.presets import CLASSIFIERS


def train(
    *,
    data: Path | None,
    upright: bool | None,
    seed: int | None,
    epochs: int | None,
    resume: Path | None,
    run_dir: Path | None,
) -> None:
    """Train a classifier on MNIST and evaluate it on the test images."""
    folder = data_folder(data)
    digits, test = mnist.load(folder, "train"), mnist.load(folder, "test")
    if resume is not None:
        check_alone({"upright": upright, "seed": seed, "epochs": epochs, "run_dir": run_dir})
        check_own(resume, record_of_test(folder, test))
        run = resume_classifier(resume, digits.images, digits.labels)
    else:
        config = CLASSIFIERS["upright" if upright else "rotated"]
        config = replace(config, train=replace(config.train, seed=seed or 0, epochs=epochs or config.train.epochs))
        record = record_of_test(folder, test)
        run = train_classifier(digits.images, digits.labels, config, run_dir, held_out=record)
    report(run, test)


def report_on(run: ClassifierRun, data: Path | None, out: Path | None) -> None:
    """Evaluate a run on MNIST's test images."""
    folder = data_folder(data)
    test = mnist.load(folder, "test")
    report(run, test, place_of(run.folder, out, is_own(run.folder, test), folder.name, describe(test)["sha256"]))


def report(run: ClassifierRun, test: ImageSet, out: Path | None = None) -> None:
    """Evaluate a run on test images, upright and at twelve angles."""
    found = metrics.classification_report(test.known_labels(), run.classify(test.images))
    accuracy = classifier_accuracy(run, test.images, test.known_labels())
    finish(run, {"test_accuracy": found.accuracy, "test_accuracy_rotated": accuracy}, out)
