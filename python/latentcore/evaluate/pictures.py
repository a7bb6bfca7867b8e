"""What the pictures of several systems share."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentcore import _errors, plots
from latentcore._files import inside, read_bounded, replacing
from latentcore.data.convert import to_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_pictures(folder: Path, drawn: "Mapping[str, Figure]") -> list[Path]:
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


def history(run_folder: Path, terms: Sequence[str] | None = None) -> dict[str, list[float]]:
    """Columns of a run's `metrics.csv`, all or some, with a number for each epoch.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has no row, lacks a column, or holds what is no number.
    """
    path = run_folder / "metrics.csv"
    content = read_bounded(inside(run_folder, path))
    try:
        rows = list(csv.DictReader(content.decode().splitlines(keepends=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        _errors.fail_value(str(path), "a row for each epoch", str(error))
    if not rows:
        _errors.fail_value(str(path), "a row for each epoch", "none")
    names = list(rows[0]) if terms is None else terms
    try:
        return {name: [float(row[name]) for row in rows] for name in names}
    except (KeyError, TypeError, ValueError):
        _errors.fail_value(str(path), f"a number for each epoch under {', '.join(map(str, names))}", "another content")


def loss_figure(run_folder: Path, terms: Sequence[str]) -> "Figure":
    """The curves of a run's `metrics.csv`."""
    return plots.loss_curves(history(run_folder, terms))


def spread(images: Tensor, count: int) -> Tensor:
    """Some images from all over the set."""
    return images[torch.linspace(0, len(images) - 1, min(count, len(images))).long()]


def drawable(images: Tensor) -> Tensor:
    """Images (..., C, H, W) as pictures show them: grey or coloured as they are, of other channels their mean."""
    return images if images.shape[-3] in (1, 3) else to_unit(images).mean(-3, keepdim=True)


def ways(run: Any, first: Tensor, last: Tensor, steps: int, labels: Tensor | None = None) -> dict[str, Tensor]:
    """What is drawn between two latents (L,): straight, and along a great circle where there is more than one axis."""
    kinds = ("linear", "spherical") if len(first) > 1 else ("linear",)
    return {how: drawable(run.decode(plots.interpolate(first, last, steps, how), labels)) for how in kinds}
