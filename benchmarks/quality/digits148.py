"""The few-label system on the digits 1, 4 and 8 of MNIST, five labels a class.

A seed sets the weights and which labelled images are drawn from the training set; no other label is used. Every figure
comes from the same saved runs and all 3,091 test images.
"""

import dataclasses
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.quality.figures import Figure
from latentcore.commands.inputs import data_folder
from latentcore.data import ImageSet, mnist
from latentcore.evaluate import few_label as evaluate
from latentcore.training import load_run
from latentcore.training.few_label import FewLabelConfig, FewLabelRun, plain_mixture, train_few_label
from latentcore.training.presets import DIGITS148

CLASSES = (1, 4, 8)
LABELS_PER_CLASS = 5
SEEDS = range(10)
FIGURES = (
    Figure("f1_mean", "at_least", 0.985, 0.99),
    Figure("f1_worst", "at_least", 0.97, 0.985, worst=True),
    Figure("ssim", "at_least", 0.66, 0.70),
    Figure("mse", "at_most", 0.028, 0.025),
    Figure("seconds_per_seed", "at_most", 120, 40),
    Figure("parameters", "at_most", 10_000_000),
    Figure("f1_plain"),
)
FULL_ONLY: frozenset[str] = frozenset()


def run(data: Path | None, *, full: bool, names: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the suite: seed 0, or all ten seeds where `full`."""
    folder = data_folder(data)
    train, test = (mnist.load(folder, split).select(CLASSES) for split in ("train", "test"))
    found = [_seed(train, test, seed, DIGITS148) for seed in (SEEDS if full else SEEDS[:1])]
    return [figure.row([values[figure.name] for values in found]) for figure in FIGURES if figure.name in names]


def _seed(train: ImageSet, test: ImageSet, seed: int, config: FewLabelConfig) -> dict[str, float]:
    labelled = train.draw(LABELS_PER_CLASS, seed=seed)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        train_few_label(train.images, labelled.images, labelled.labels, config, f"{folder}/run")
        saved = load_run(f"{folder}/run")
        assert isinstance(saved, FewLabelRun)
        figures = evaluate.figures(saved, test)
        plain = plain_mixture(saved, train.images, labelled.images, labelled.labels)
        values = {
            "f1_mean": figures["f1"],
            "f1_worst": figures["f1"],
            "ssim": figures["ssim"],
            "mse": figures["mse"],
            "seconds_per_seed": saved.metrics["seconds"],
            "parameters": saved.metrics["parameters"],
            "f1_plain": evaluate.plain_f1(plain, saved, test),
        }
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()), flush=True)
    return values
