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

import latentcore
from benchmarks.quality import digits, photographs
from benchmarks.quality.figures import Figure
from latentcore.data import ImageSet
from latentcore.systems.autoencoder.config import PRESETS as AUTOENCODERS
from latentcore.systems.classifier.config import PRESETS as CLASSIFIERS
from latentcore.systems.gan.config import PRESETS as GANS
from latentcore.systems.gan.evaluation import figures

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
        vae, gan = (
            latentcore.train(
                system,
                train,
                config=replace(config, train=replace(config.train, seed=seed)),
                run_dir=self._folder / f"{system}-{seed}",
            )
            for system, config in (("autoencoder", AUTOENCODERS["conv-vae-32"]), ("gan", GANS["digits"]))
        )
        found = figures(gan, self._judge, train, test, beside=vae)
        found |= {name: gan.metrics[name] for name in ("seconds", "parameters")}
        found |= {f"{name}_beside": vae.metrics[name] for name in ("seconds", "parameters")}
        print(f"seed {seed}: {found}", flush=True)
        return found

    @cached_property
    def _images(self) -> tuple[ImageSet, ImageSet]:
        return digits.read(self._data)

    @cached_property
    def _judge(self) -> Any:
        place = self._folder / "judge"
        return latentcore.train("classifier", self._images[0], config=CLASSIFIERS["upright"], run_dir=place)
