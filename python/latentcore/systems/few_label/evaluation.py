"""How good a few-label system is."""

from typing import Any

from latentcore import metrics
from latentcore.data import ImageSet
from latentcore.data.convert import to_unit
from latentcore.systems.few_label.run import FewLabelRun


def figures(run: FewLabelRun, test: ImageSet) -> dict[str, float]:
    """Figures of a run on labelled images, all from decode(encode(x)) and classify(x).

    Returns:
        ``accuracy``, macro ``precision``, ``recall`` and ``f1_macro``, ``f1`` = (macro + micro F1) / 2; ``ssim``,
        ``mse`` and ``psnr`` (dB), means over the images; ``test_images``, their number.
    """
    report = metrics.classification_report(test.known_labels(), run.classify(test.images))
    original, decoded = to_unit(test.images), run.reconstruct(test.images)
    return {
        "accuracy": report.accuracy,
        "precision": report.precision,
        "recall": report.recall,
        "f1_macro": report.f1_macro,
        "f1": report.f1_score,
        "ssim": float(metrics.ssim(original, decoded).mean()),
        "mse": float(metrics.mse(original, decoded).mean()),
        "psnr": float(metrics.psnr(original, decoded).mean()),
        "test_images": len(test),
    }


def plain_f1(mixture: Any, run: FewLabelRun, test: ImageSet) -> float:
    """The F1 score of another mixture in the latents of `run`."""
    predicted = mixture.predict_label(run.encode(test.images))
    return metrics.classification_report(test.known_labels(), predicted).f1_score
