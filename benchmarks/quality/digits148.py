"""The few-label system on the digits 1, 4 and 8 of MNIST, five labels a class.

A seed sets the weights and which labelled images are drawn from the training set; no other label is used. Every figure
comes from the same saved runs and all 3,091 test images.
"""

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import latentcore
from benchmarks.quality.figures import Figure
from latentcore.data.examples import Examples, Where
from latentcore.systems.few_label.config import PRESETS
from latentcore.systems.few_label.evaluation import figures
from latentcore.systems.few_label.sources import IMAGES

PRESET = PRESETS["digits148"]
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
    digits = IMAGES.opened(Where(() if data is None else (str(data),)), PRESET)
    found = [_seed(digits, seed) for seed in (SEEDS if full else SEEDS[:1])]
    return [figure.row([values[figure.name] for values in found]) for figure in FIGURES if figure.name in names]


def _seed(digits: Examples, seed: int) -> dict[str, float]:
    config = replace(PRESET, train=replace(PRESET.train, seed=seed))
    with tempfile.TemporaryDirectory() as folder:
        run = latentcore.train("few-label", digits, config=config, run_dir=f"{folder}/run")
        found = figures(run, digits)
        values = {
            "f1_mean": found["f1"],
            "f1_worst": found["f1"],
            "ssim": found["ssim"],
            "mse": found["mse"],
            "seconds_per_seed": run.metrics["seconds"],
            "parameters": run.metrics["parameters"],
            "f1_plain": found["f1_plain"],
        }
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()), flush=True)
    return values
