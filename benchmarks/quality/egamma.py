"""Electrons and photons: how far a network stays below the best possible, and how fast it trains and reads.

An eighth-width ResNet-15 (preset "small") is trained on 200,000 simulated events and judged on 20,000 others, beside
the exact likelihood ratio. `throughput_ratio` compares steps of the full ResNet-15, batch 64, in the precision and
memory format of the preset "egamma" with plain float32 ones, interleaved in this process
(`benchmarks/egamma_throughput.py`); `loss_difference` is how far the loss curves of both are apart, in standard
errors. `reader_ratio` is of one epoch over 100,000 events in an lzf file against chunk-sequential h5py reading with
torch conversion (`benchmarks/egamma_reader.py`). A seed sets the weights, the order and the simulated events.
"""

import tempfile
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import egamma_reader, egamma_throughput
from benchmarks.quality.figures import Figure
from latentcore import train
from latentcore.data.egamma.simulator import write
from latentcore.systems.egamma import evaluation
from latentcore.systems.egamma.config import PRESETS, EgammaConfig

TRAIN_EVENTS, TEST_EVENTS, READER_EVENTS = 200_000, 20_000, 100_000
SEEDS = range(3)

_TRAINED = (
    Figure("auc_gap_oracle", "at_most", 0.03, 0.01),
    Figure("auc"),
    Figure("oracle_auc"),
    Figure("accuracy"),
    Figure("rejection_70"),
    Figure("calibration_error"),
    Figure("seconds"),
    Figure("events_per_second"),
    Figure("parameters"),
)
_THROUGHPUT = (Figure("throughput_ratio", "at_least", 2.3, 3.0), Figure("loss_difference"))
_READER = (
    Figure("reader_ratio", "at_least", 1.5, 2.5),
    Figure("reader_peak_mb", "at_most", 400.0, 200.0),
    Figure("row_by_row_ratio"),
)
FIGURES = (*_THROUGHPUT, *_READER, *_TRAINED)
FULL_ONLY: frozenset[str] = frozenset()

# as the run's metrics have them
_NAMES = {"auc": "test_auc", "accuracy": "test_accuracy"}


def run(data: Path | None, *, full: bool, names: Collection[str]) -> list[dict[str, Any]]:
    """The rows of the suite: seed 0, or three seeds of the training where `full`; no data of others are needed."""
    wanted = [figure for figure in FIGURES if figure.name in names]
    with tempfile.TemporaryDirectory() as folder:
        # speeds first, while the machine is cool
        speeds = _speeds(Path(folder), wanted)
        trained = any(figure in _TRAINED for figure in wanted)
        found = [_trained(Path(folder), seed) for seed in (SEEDS if full else SEEDS[:1])] if trained else []
    values = {name: [value] for name, value in speeds.items()}
    for figure in _TRAINED:
        values[figure.name] = [metrics[_NAMES.get(figure.name, figure.name)] for metrics in found]
    return [figure.row(values[figure.name]) for figure in wanted]


def _speeds(folder: Path, wanted: list[Figure]) -> dict[str, float]:
    found: dict[str, float] = {}
    if any(figure in _THROUGHPUT for figure in wanted):
        found |= egamma_throughput.measured()
    if any(figure in _READER for figure in wanted):
        path = folder / "reader.h5"
        write(path, READER_EVENTS, seed=1)
        reader = egamma_reader.measured(path, turns=5)
        found["reader_ratio"], found["reader_peak_mb"] = reader["ratio"], reader["memory_mb"]
        found["row_by_row_ratio"] = reader["row_by_row_s"] / reader["stream_s"]
    print(", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
    return found


def _trained(folder: Path, seed: int) -> dict[str, float]:
    learned, judged = folder / "train.h5", folder / "test.h5"
    write(learned, TRAIN_EVENTS, seed=1000 + seed, threads=2)
    write(judged, TEST_EVENTS, seed=2000 + seed, threads=2)
    config = _configured(PRESETS["small"], seed)
    run = train("egamma", learned, config=config, run_dir=folder / f"run-{seed}", test=judged)
    parts = run.parts()
    figures = {**run.metrics, **evaluation.figures(evaluation.score(run, parts.test_files, parts.test))}
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()), flush=True)
    return figures


def _configured(config: EgammaConfig, seed: int) -> EgammaConfig:
    """All events of the file for the training: the last weights are kept."""
    return replace(config, train=replace(config.train, seed=seed, validation=0.0, early_stop=0))
