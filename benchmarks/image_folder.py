"""A folder of JPEGs, read for the first time, read again, and trained on.

usage: python -m benchmarks.image_folder [--files N] [--turns N] [--json FILE]

The files are made: 320x240 pixels of smooth colours with noise, quality 85, in ten folders; they are in the page
cache. "bare" is Pillow alone on as many threads: the same scaled decoding (`draft`), and the same resizing; and nothing
is kept. The first pass of `ImageFolder` should take little more: it is then bound by decoding. Turns alternate; figures
are medians. `again_s` reads the decoded images of a cache folder; `gather_s` is an epoch of batches of 64 out of it,
and `network_s` an epoch of the preset "photographs", scaled from some steps. Memory is that of the first pass in a
process of its own, above the imports, beside the size of the images.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

import latentcore
from benchmarks.quality.figures import machine
from latentcore._files import write_json
from latentcore.data import ImageFolder
from latentcore.systems.photographs.config import PRESETS
from latentcore.terminal.tables import show
from latentcore.training.sources import Images

_SIZE, _BATCH, _STEPS = (320, 240), 64, 10

_MEMORY = """
import sys
from latentcore.data import ImageFolder
from latentcore.testing import peak_memory_mb
before = peak_memory_mb()
images = ImageFolder(sys.argv[1])
print(peak_memory_mb() - before)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = make(Path(place) / "photographs", arguments.files)
        result = measured(folder, Path(place), arguments.turns)
    show(f"{arguments.files:,} JPEGs", {name: f"{value:.3g}" for name, value in result.items()})
    if arguments.json is not None:
        write_json(arguments.json, {"machine": machine(), "files": arguments.files} | result)


def make(folder: Path, files: int) -> Path:
    """Write JPEGs that are all different."""
    random = np.random.default_rng(0)
    for number in range(files):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(_SIZE)
        noisy = np.asarray(coarse).astype(np.int16) + random.integers(-12, 13, (_SIZE[1], _SIZE[0], 1))
        path = folder / f"{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=85)
    return folder


def measured(folder: Path, place: Path, turns: int) -> dict[str, Any]:
    """All figures."""
    paths = sorted(folder.rglob("*.jpg"))
    sides: dict[str, Callable[[int], object]] = {
        "bare_s": lambda _: bare(paths),
        "first_s": lambda _: ImageFolder(folder),
        "first_to_file_s": lambda turn: ImageFolder(folder, cache_dir=place / f"cache{turn}"),
        "again_s": lambda turn: ImageFolder(folder, cache_dir=place / f"cache{turn}"),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns):
        for name, run in sides.items():
            began = time.perf_counter()
            run(turn)
            times[name].append(time.perf_counter() - began)
    found = {name: statistics.median(values) for name, values in times.items()}
    images = ImageFolder(folder, cache_dir=place / "cache0").images
    command = [sys.executable, "-c", _MEMORY, str(folder)]
    return {
        **found,
        "first_over_bare": found["first_s"] / found["bare_s"],
        "gather_s": gathered(images),
        "network_s": network(images, place),
        "memory_mb": float(subprocess.run(command, capture_output=True, text=True, check=True).stdout),
        "images_mb": images.numel() / 1e6,
    }


def bare(paths: list[Path]) -> None:
    """Decode all files and forget them."""

    def load(path: Path) -> None:
        with Image.open(path) as image:
            image.draft(None, (128, 128))
            ImageOps.fit(image, (64, 64), Image.Resampling.BILINEAR)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for _ in pool.map(load, paths):
            pass


def gathered(images: torch.Tensor) -> float:
    """Seconds of an epoch of batches, in a mixed order, mirrored and turned as in training."""
    source = Images(images, PRESETS["photographs"].train.augmentation, "augmented")
    began = time.perf_counter()
    for rows in torch.randperm(len(images)).split(_BATCH):
        source.batch(rows, 2 * torch.rand(source.numbers, len(rows)) - 1)
    return time.perf_counter() - began


def network(images: torch.Tensor, place: Path) -> float:
    """Seconds of an epoch of training, scaled from a short one; the first epoch warms up."""
    config = PRESETS["photographs"]
    some = images[: _STEPS * _BATCH]
    short = replace(config, train=replace(config.train, epochs=3))
    run = latentcore.train("photographs", some, config=short, run_dir=place / "run")
    with (run.folder / "metrics.csv").open() as file:
        rows = file.read().splitlines()
    rate = float(dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))["images_per_second"])
    return len(images) / rate


if __name__ == "__main__":
    main()
