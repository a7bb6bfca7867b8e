"""What the pictures of several systems share."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentcore import plots
from latentcore._files import replacing


def save_pictures(folder: Path, drawn: Mapping[str, Figure]) -> list[Path]:
    """Write figures as `folder/<name>.png`."""
    paths = [folder / f"{name}.png" for name in drawn]
    for path, figure in zip(paths, drawn.values(), strict=True):
        plots.save_figure(figure, path)
    return paths


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows with the same keys as a CSV file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def loss_figure(run_folder: Path, terms: Sequence[str]) -> Figure:
    """The curves of a run's `metrics.csv`."""
    with (run_folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return plots.loss_curves({term: [float(row[term]) for row in rows] for term in terms})


def spread(images: Tensor, count: int) -> Tensor:
    """Some images from all over the set."""
    return images[torch.linspace(0, len(images) - 1, min(count, len(images))).long()]
