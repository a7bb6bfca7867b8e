"""Autoencoders and VAEs on all of MNIST: test nats, samples of an asked class, and how fast an epoch is.

Nats are cross entropy + KL of the 10,000 test images per image, one latent sample each, grey; `vae2d_elbo_binarised`
is of test images drawn black and white once (seed 0), its model is trained on images drawn anew in every step.
`vae2d_nats_difference` is the preset "vae-2d" less the study's own loop (`benchmarks/studies.py`), trained in the
same run. `cvae_accuracy` is how many of 10,000 samples, a tenth for each digit, our classifier of upright digits
takes for the digit that was asked for. Epoch ratios are seconds of an epoch of the study's loop over ours, in turns,
medians; ours is the mean over a training of three epochs. The study computes in float32, ours as its preset says:
"conv-vae-32" in bfloat16 where the device multiplies it in hardware.
"""

import statistics
import tempfile
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import latentcore
from benchmarks.quality import digits
from benchmarks.quality.figures import Figure
from benchmarks.studies import PlainConvVAE, PlainVAE, Study
from latentcore.data import ImageSet
from latentcore.evaluate.likelihood import elbo
from latentcore.models import VAE
from latentcore.systems.autoencoder.config import PRESETS as AUTOENCODERS
from latentcore.systems.classifier.config import PRESETS as CLASSIFIERS

SEEDS = range(3)
STUDY_EPOCHS, TURNS, TURN_EPOCHS, SAMPLES = 10, 3, 3, 1000

FIGURES = (
    Figure("epoch_ratio_mlp", "at_least", 5.0, 7.0),
    Figure("epoch_ratio_conv", "at_least", 1.5, 2.0),
    Figure("conv_vae_nats", "at_most", 95.2, 94.0),
    Figure("best_vae_nats", "at_most", 92.5, 89.0),
    Figure("vae2d_nats_difference", "at_most", 0.0, -2.0),
    Figure("vae2d_elbo_binarised", "at_most", 138.0, 131.0),
    Figure("cvae_accuracy", "at_least", 0.97, 0.99),
)
FULL_ONLY: frozenset[str] = frozenset()


def run(data: Path | None, *, full: bool, names: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the suite: seed 0, or three seeds where `full`; speeds are measured once."""
    train, test = digits.read(data)
    with tempfile.TemporaryDirectory() as place:
        study = _Rows(Path(place), train, test)
        rows = []
        for figure in FIGURES:
            if figure.name in names:
                seeds = SEEDS if full and not figure.name.startswith("epoch_ratio") else SEEDS[:1]
                rows.append(figure.row([study.value(figure.name, seed) for seed in seeds]) | study.costs(figure.name))
        return rows


class _Rows:
    """How each figure is found."""

    def __init__(self, folder: Path, train: ImageSet, test: ImageSet) -> None:
        self._folder, self._train, self._test = folder, train, test
        self._costs: dict[str, list[dict[str, float]]] = {}

    def value(self, name: str, seed: int) -> float:
        ways: dict[str, Callable[[int], float]] = {
            "epoch_ratio_mlp": lambda _: self._ratio("vae-2d", PlainVAE()),
            "epoch_ratio_conv": lambda _: self._ratio("conv-vae-32", PlainConvVAE()),
            "conv_vae_nats": lambda seed: self._nats("conv-vae-32", name, seed),
            "best_vae_nats": lambda seed: self._nats("residual-vae-32", name, seed),
            "vae2d_nats_difference": lambda seed: self._nats("vae-2d", name, seed) - self._study_nats(seed),
            "vae2d_elbo_binarised": lambda seed: self._nats("vae-2d-deep", name, seed, target="binarised"),
            "cvae_accuracy": self._accuracy,
        }
        value = ways[name](seed)
        print(f"{name}, seed {seed}: {value:.4g}", flush=True)
        return value

    def costs(self, name: str) -> dict[str, Any]:
        """What the figure's trainings took."""
        found = self._costs.get(name, [])
        return {"training": {key: [one[key] for one in found] for key in ("seconds", "parameters")}} if found else {}

    def _trained(self, preset: str, figure: str, seed: int) -> Any:
        config = AUTOENCODERS[preset]
        config = replace(config, train=replace(config.train, seed=seed))
        place = self._folder / f"{figure}-{seed}"
        run = latentcore.train("autoencoder", self._train, config=config, run_dir=place)
        self._costs.setdefault(figure, []).append(run.metrics)
        return run

    def _nats(self, preset: str, figure: str, seed: int, target: Any = "grey") -> float:
        model = self._trained(preset, figure, seed).model
        assert isinstance(model, VAE)
        return elbo(model, self._test.images, target=target).nats

    def _study_nats(self, seed: int) -> float:
        torch.manual_seed(seed)
        study = Study(PlainVAE(), self._train.images, self._train.known_labels())
        for _ in range(STUDY_EPOCHS):
            study.epoch()
        return study.test_nats(self._test.images)

    def _accuracy(self, seed: int) -> float:
        run = self._trained("cvae", "cvae_accuracy", seed)
        asked = torch.arange(10).repeat(SAMPLES)
        place = self._folder / f"judge-{seed}"
        judge = latentcore.train("classifier", self._train, config=CLASSIFIERS["upright"], run_dir=place)
        return float((judge.classify(run.sample(len(asked), asked, seed=seed)) == asked).float().mean())

    def _ratio(self, preset: str, model: PlainVAE | PlainConvVAE) -> float:
        """Epochs of both sides in turns; ours without what comes before and after a training."""
        config = AUTOENCODERS[preset]
        config = replace(config, train=replace(config.train, epochs=TURN_EPOCHS))
        study = Study(model, self._train.images, self._train.known_labels())
        theirs: list[float] = []
        ours: list[float] = []
        for turn in range(TURNS + 1):
            place = self._folder / f"{preset}-speed-{turn}"
            run = latentcore.train("autoencoder", self._train, config=config, run_dir=place)
            ours.append(len(self._train) / run.metrics["images_per_second"])
            theirs.append(study.epoch())
        # the first turn warms up
        return statistics.median(theirs[1:]) / statistics.median(ours[1:])
