"""A GAN on all of MNIST, and a VAE of photographs: how near samples are to real digits, and decoded patches to theirs.

`gan_frechet` is the squared Fréchet distance of 10,000 samples of the preset "digits" to the 10,000 test images, in the
features of our classifier of upright digits, over that of as many samples from the prior of the VAE "conv-vae-32", both
trained in the same run. `gan_coverage_error` is how far the share of a digit among those samples is from 10 %, of the
digit that is farthest, in percentage points, as the same classifier sees them. Beside them stand the distances
themselves, those of 10,000 training images, and what the trainings took. `photos_mse_ratio_pca` is that of
`benchmarks/quality/photographs.py`, with the preset "patches". Nothing is trained that no asked figure needs.
"""

import tempfile
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from benchmarks.quality import photographs
from benchmarks.quality.figures import Figure
from latentcore.commands.inputs import data_folder
from latentcore.data import ImageSet, mnist
from latentcore.evaluate.gan import figures
from latentcore.training.autoencoder import train_autoencoder
from latentcore.training.classifier import ClassifierRun, train_classifier
from latentcore.training.gan import train_gan
from latentcore.training.presets import AUTOENCODERS, GANS, UPRIGHT_DIGITS

SEEDS = range(3)

FIGURES = (
    Figure("gan_frechet", "at_most", 1.0, 0.5),
    Figure("gan_coverage_error", "at_most", 3.0, 1.5),
    Figure("photos_mse_ratio_pca", "at_most", 0.9, 0.7),
)
FULL_ONLY: frozenset[str] = frozenset()


def run(data: Path | None, *, full: bool, names: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the suite: seed 0, or three seeds where `full`."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        gan = cache(_Digits(data, folder).measured)  # two rows, one training
        ways: dict[str, tuple[Callable[[int], dict[str, float]], str]] = {
            "gan_frechet": (gan, "frechet_ratio"),
            "gan_coverage_error": (gan, "coverage_error"),
            "photos_mse_ratio_pca": (lambda seed: photographs.measured(folder, seed), "photos_mse_ratio_pca"),
        }
        rows = []
        for figure in FIGURES:
            if figure.name in names:
                measured, key = ways[figure.name]
                found = [measured(seed) for seed in (SEEDS if full else SEEDS[:1])]
                training = {what: [one[what] for one in found] for what in ("seconds", "parameters")}
                rows.append(figure.row([one[key] for one in found]) | {"training": training, "beside": found})
        return rows


class _Digits:
    """MNIST, read where it is needed, and the classifier that judges all seeds."""

    def __init__(self, data: Path | None, folder: Path) -> None:
        self._data, self._folder = data, folder

    def measured(self, seed: int) -> dict[str, float]:
        """What a GAN of this seed reaches beside a VAE of this seed."""
        train, test = self._images
        config, beside = GANS["digits"], AUTOENCODERS["conv-vae-32"]
        vae = train_autoencoder(
            train.images, replace(beside, train=replace(beside.train, seed=seed)), self._folder / f"vae-{seed}"
        )
        gan = train_gan(
            train.images, replace(config, train=replace(config.train, seed=seed)), self._folder / f"gan-{seed}"
        )
        found = figures(gan, self._judge, train, test, beside=vae)
        found |= {name: gan.metrics[name] for name in ("seconds", "parameters")}
        found |= {f"{name}_beside": vae.metrics[name] for name in ("seconds", "parameters")}
        print(f"seed {seed}: {found}", flush=True)
        return found

    @cached_property
    def _images(self) -> tuple[ImageSet, ImageSet]:
        folder = data_folder(self._data)
        return mnist.load(folder, "train"), mnist.load(folder, "test")

    @cached_property
    def _judge(self) -> ClassifierRun:
        train = self._images[0]
        return train_classifier(train.images, train.labels, UPRIGHT_DIGITS, self._folder / "judge")
