"""`latentcore train classifier`, and the evaluation of its runs."""

from dataclasses import replace
from pathlib import Path

from latentcore import metrics
from latentcore.commands.inputs import check_alone, data_folder
from latentcore.commands.tables import finish
from latentcore.data import mnist
from latentcore.evaluate.rotation import classifier_accuracy
from latentcore.train.classifier import ClassifierRun, resume_classifier, train_classifier
from latentcore.train.presets import CLASSIFIERS


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
    digits = mnist.load(folder, "train")
    if resume is not None:
        check_alone({"upright": upright, "seed": seed, "epochs": epochs, "run_dir": run_dir})
        run = resume_classifier(resume, digits.images, digits.labels)
    else:
        config = CLASSIFIERS["upright" if upright else "rotated"]
        config = replace(config, train=replace(config.train, seed=seed or 0, epochs=epochs or config.train.epochs))
        run = train_classifier(digits.images, digits.labels, config, run_dir)
    report(run, data)


def report(run: ClassifierRun, data: Path | None) -> None:
    """Evaluate a run on MNIST's test images, upright and at twelve angles."""
    test = mnist.load(data_folder(data), "test")
    found = metrics.classification_report(test.known_labels(), run.classify(test.images))
    accuracy = classifier_accuracy(run, test.images, test.known_labels())
    finish(run, {"test_accuracy": found.accuracy, "test_accuracy_rotated": accuracy})
