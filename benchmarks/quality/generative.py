"""A GAN on all of MNIST: how near its samples are to real digits, and whether all digits are among them.

`gan_frechet` is the squared Fréchet distance of 10,000 samples of the preset "digits" to the 10,000 test images, in the
features of our classifier of upright digits, over that of as many samples from the prior of the VAE "conv-vae-32", both
trained in the same run. `gan_coverage_error` is how far the share of a digit among those samples is from 10 %, of the
digit that is farthest, in percentage points, as the same classifier sees them. Beside them stand the distances
themselves, those of 10,000 training images, and what the trainings took.
"""

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.quality.figures import Figure
from latentcore.commands.inputs import data_folder
from latentcore.data import ImageSet, mnist
from latentcore.evaluate.gan import figures
from latentcore.train.autoencoder import train_autoencoder
from latentcore.train.classifier import ClassifierRun, train_classifier
from latentcore.train.gan import train_gan
from latentcore.train.presets import AUTOENCODERS, GANS, UPRIGHT_DIGITS

SEEDS = range(3)

FIGURES = (
    Figure("gan_frechet", "at_most", 1.0, 0.5),
    Figure("gan_coverage_error", "at_most", 3.0, 1.5),
)
FULL_ONLY: frozenset[str] = frozenset()


def run(data: Path | None, *, full: bool, names: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the suite: seed 0, or three seeds where `full`."""
    folder, seeds = data_folder(data), SEEDS if full else SEEDS[:1]
    train, test = (mnist.load(folder, split) for split in ("train", "test"))
    with tempfile.TemporaryDirectory() as place:
        judge = train_classifier(train.images, train.labels, UPRIGHT_DIGITS, Path(place) / "judge")
        found = [_gan_figures(Path(place), judge, train, test, seed) for seed in seeds]
    keys = {"gan_frechet": "frechet_ratio", "gan_coverage_error": "coverage_error"}
    chosen = [figure for figure in FIGURES if figure.name in names]
    return [figure.row([one[keys[figure.name]] for one in found]) | {"beside": found} for figure in chosen]


def _gan_figures(folder: Path, judge: ClassifierRun, train: ImageSet, test: ImageSet, seed: int) -> dict[str, float]:
    """What a GAN of this seed reaches beside a VAE of this seed."""
    config, beside = GANS["digits"], AUTOENCODERS["conv-vae-32"]
    vae = train_autoencoder(
        train.images, replace(beside, train=replace(beside.train, seed=seed)), folder / f"vae-{seed}"
    )
    gan = train_gan(train.images, replace(config, train=replace(config.train, seed=seed)), folder / f"gan-{seed}")
    found = figures(gan, judge, train, test, beside=vae) | {"seconds": gan.metrics["seconds"]}
    print(f"seed {seed}: {found}", flush=True)
    return found
