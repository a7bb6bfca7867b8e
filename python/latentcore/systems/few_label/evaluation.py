"""How good a few-label system is."""

from latentcore import metrics
from latentcore.data.convert import to_unit
from latentcore.data.examples import Examples
from latentcore.systems.few_label.mixture import plain_mixture
from latentcore.systems.few_label.run import FewLabelRun
from latentcore.systems.few_label.sources import labelled_images


def figures(run: FewLabelRun, data: Examples) -> dict[str, float]:
    """Figures of a run on labelled test images, all from decode(encode(x)) and classify(x).

    Returns:
        ``accuracy``, macro ``precision``, ``recall`` and ``f1_macro``, ``f1`` = (macro + micro F1) / 2; ``ssim``,
        ``mse`` and ``psnr`` (dB), means over the images; ``test_images``, their number; where what it has learned is
        at hand, ``f1_plain``, the F1 score of the textbook's mixture in the same latents.
    """
    test = data.test
    report = metrics.classification_report(test.known_labels(), run.classify(test.images))
    original, decoded = to_unit(test.images), run.reconstruct(test.images)
    found = {
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
    if data.train is not None:
        plain = plain_mixture(run, data.train.images, labelled_images(data, run.config))
        predicted = plain.predict_label(run.encode(test.images))
        found["f1_plain"] = metrics.classification_report(test.known_labels(), predicted).f1_score
    return found
