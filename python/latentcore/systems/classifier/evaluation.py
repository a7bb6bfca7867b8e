"""How many images a classifier tells rightly."""

from latentcore import metrics
from latentcore.data import ImageSet
from latentcore.evaluate.angles import classifier_accuracy
from latentcore.systems.classifier.run import ClassifierRun


def figures(run: ClassifierRun, test: ImageSet) -> dict[str, float]:
    """Figures of a run on labelled images.

    Returns:
        ``test_accuracy``, of the images as they are, and ``test_accuracy_rotated``, the mean over twelve angles.
    """
    labels = test.known_labels()
    upright = metrics.classification_report(labels, run.classify(test.images)).accuracy
    return {"test_accuracy": upright, "test_accuracy_rotated": classifier_accuracy(run, test.images, labels)}
