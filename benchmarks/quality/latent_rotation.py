"""Rotation, scale and translation in latent space, on all 10,000 test images of MNIST.

A seed sets the weights and all draws of a training. Training sees orientations 30 degrees apart; `psnr_gap_unseen` is
measured half way between them. One classifier of rotated digits (seed 0) judges whether labels are kept. The figures
without a bar belong to other trainings, of seed 0: without the orientations from 90 to 180 degrees (`held_out`), with
fours and sevens only ever upright (`never_turned`), with a transformation found after the VAE was trained on turned
digits (`frozen`), and the study's recipe, an MLP after a VAE of upright digits (`study`).
"""

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.quality.figures import Figure
from latentcore import train
from latentcore.data import ImageSet
from latentcore.data.examples import Where
from latentcore.data.image_sets import IMAGES
from latentcore.evaluate.angles import classifier_accuracy
from latentcore.systems.classifier.config import PRESETS as CLASSIFIERS
from latentcore.systems.classifier.run import ClassifierRun
from latentcore.systems.rotation import evaluation
from latentcore.systems.rotation.config import PRESETS as ROTATIONS

SEEDS = range(3)
_ROTATION = (
    Figure("psnr_gap_worst", "at_most", 0.4, 0.2),
    Figure("psnr_mean", "at_least", 21.0, 22.5),
    Figure("psnr_ceiling_mean"),
    Figure("ssim_worst", "at_least", 0.86, 0.93),
    Figure("psnr_gap_unseen", "at_most", 0.7, 0.4),
    Figure("psnr_composed_worst", "at_most", 2.0, 0.5),
    Figure("label_kept_composed", "at_least", 0.95, 0.98),
    Figure("label_kept_worst", "at_least", 0.96, 0.98),
    Figure("seconds", "at_most", 25 * 60),
    Figure("images_per_second"),
    Figure("parameters"),
)
_SCALE = (
    Figure("psnr_gap_scale_translate", "at_most", 0.6, 0.3),
    Figure("seconds_scale_translate", "at_most", 25 * 60),
)
_CLASSIFIER = (Figure("classifier_accuracy"),)
# what the other trainings are asked, by preset; figures of `--full`
_OTHERS = {
    "held-out": ("psnr_held_out", "psnr_gap_held_out"),
    "never-turned": ("psnr_never_turned", "psnr_gap_never_turned"),
    "frozen": ("psnr_mean", "psnr_gap_worst", "psnr_composed_worst"),
    "study": ("psnr_mean", "psnr_gap_worst", "psnr_composed_worst"),
}
_REPORTED = {
    f"{name}_{preset}" if preset in ("frozen", "study") else name: (preset, name)
    for preset, names in _OTHERS.items()
    for name in names
}
FIGURES = (*_ROTATION, *_SCALE, *_CLASSIFIER, *(Figure(name) for name in _REPORTED))
FULL_ONLY = frozenset(_REPORTED)


def run(data: Path | None, *, full: bool, names: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the suite: seed 0, or three seeds where `full`."""
    digits = IMAGES.opened(Where(() if data is None else (str(data),)), None)
    wanted = [figure for figure in FIGURES if figure.name in names]
    with tempfile.TemporaryDirectory() as folder:
        study = _Study(Path(folder), digits.train, digits.test, SEEDS if full else SEEDS[:1])
        return [figure.row(study.values(figure.name)) | {"training": study.training(figure.name)} for figure in wanted]


class _Study:
    """Trainings, each done when the first of its figures is asked for."""

    def __init__(self, folder: Path, train: ImageSet, test: ImageSet, seeds: range) -> None:
        self._folder, self._train, self._test, self._seeds = folder, train, test, seeds
        self._found: dict[tuple[str, int], dict[str, float]] = {}
        self._judge: ClassifierRun | None = None

    def values(self, figure: str) -> list[float]:
        """A figure's values: one per seed, or one of a training that has only seed 0."""
        _, name, _ = _origin(figure)
        return [found[name] for found in self._trainings(figure)]

    def training(self, figure: str) -> dict[str, Any]:
        """What the figure cost: seconds and images per second of each seed, and the parameters."""
        found = self._trainings(figure)
        costs = {name: [training[name] for training in found] for name in ("seconds", "images_per_second")}
        return {"preset": _origin(figure)[0], **costs, "parameters": found[0]["parameters"]}

    def _trainings(self, figure: str) -> list[dict[str, float]]:
        preset, _, seeds = _origin(figure)
        return [self._figures(preset, seed) for seed in (self._seeds if seeds else (0,))]

    def _figures(self, preset: str, seed: int) -> dict[str, float]:
        if (preset, seed) not in self._found:
            found = self._judged() if preset == "classifier" else self._trained(preset, seed)
            self._found[preset, seed] = found
            words = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
            print(f"{preset}, seed {seed}: {words}", flush=True)
        return self._found[preset, seed]

    def _trained(self, preset: str, seed: int) -> dict[str, float]:
        config = ROTATIONS[preset]
        config = replace(config, digits=(), train=replace(config.train, seed=seed))
        saved = train("rotation", self._train, config=config, run_dir=self._folder / f"{preset}-{seed}")
        judge = self._classifier() if preset == "rotation" else None
        return {**saved.metrics, **evaluation.figures(evaluation.measure(saved, self._test, judge))}

    def _judged(self) -> dict[str, float]:
        judge = self._classifier()
        accuracy = classifier_accuracy(judge, self._test.images, self._test.known_labels())
        return {**judge.metrics, "classifier_accuracy": accuracy}

    def _classifier(self) -> ClassifierRun:
        if self._judge is None:
            config, folder = CLASSIFIERS["rotated"], self._folder / "classifier"
            self._judge = train("classifier", self._train, config=config, run_dir=folder)
        assert self._judge is not None
        return self._judge


def _origin(figure: str) -> tuple[str, str, bool]:
    """The preset whose training a figure comes from, its name there, and whether it has several seeds."""
    if figure == "classifier_accuracy":
        return "classifier", figure, False
    if figure in _REPORTED:
        return *_REPORTED[figure], False
    if figure.endswith("scale_translate"):
        return "scale-translate", "seconds" if figure.startswith("seconds") else figure, True
    return "rotation", figure, True
