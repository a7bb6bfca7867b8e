"""Autoencoders and VAEs side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentcore import _errors, plots
from latentcore.data import ImageSet
from latentcore.data.convert import as_classes, to_unit
from latentcore.evaluate.pictures import drawable, history, save_pictures, spread, write_table
from latentcore.plots.style import literal
from latentcore.systems.autoencoder.evaluation import figures, labels_for
from latentcore.systems.autoencoder.pictures import SHOWN, prior_samples, walks
from latentcore.training.run import CodingRun

# shapes: (N, C, H, W) images, (N, L) latents

_SCATTERED = 5_000  # latents of a run in the picture
_NOT_LOSSES = ("epoch", "seconds", "images_per_second")


def table(runs: Mapping[str, CodingRun[Any]], test: ImageSet) -> list[dict[str, float | str]]:
    """A row of figures for each run: what it took, and what `evaluation.figures` finds on test images.

    Raises:
        ValueError: A run is of images of another size, or labels are missing where a model is told them.
    """
    _check(runs, test)
    rows: list[dict[str, float | str]] = []
    for name, run in runs.items():
        own: dict[str, float | str] = {key: run.metrics[key] for key in ("parameters", "seconds") if key in run.metrics}
        rows.append({"run": name, "latent": run.model.config.latent, **own, **figures(run, test)})
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{column: row.get(column, "") for column in columns} for row in rows]


def write_comparison(
    runs: Mapping[str, CodingRun[Any]], test: ImageSet, folder: Path, rows: list[dict[str, float | str]]
) -> list[Path]:
    """Draw runs side by side: losses, reconstructions, latents, interpolations, samples; and their table as CSV.

    Args:
        runs: By the names that the pictures show.
        test: Images of the runs' size, with labels where a model is told them.
        folder: Where to write; it is made where it is missing.
        rows: What `table` found.

    Returns:
        The files.

    Raises:
        ValueError: There is no run, or one is of images of another size; labels are missing where a model is told
            them; or a run's `metrics.csv` is damaged.
    """
    _check(runs, test)
    runs = {literal(name): run for name, run in runs.items()}
    folder.mkdir(parents=True, exist_ok=True)
    latents = {name: run.encode(test.images, labels_for(run, test)) for name, run in runs.items()}
    drawn = {
        "losses": plots.losses_by_run({name: _history(run.folder) for name, run in runs.items()}),
        "reconstructions": plots.comparison(_drawn(runs, test)),
        "interpolations": plots.interpolation(_walked(runs, test, latents)),
    }
    flat = {name: z for name, z in latents.items() if min(z.shape) >= 2}
    if flat:
        shown = spread(torch.arange(len(test)), _SCATTERED)
        names = None if test.labels is None else test.labels[shown]
        drawn["latents"] = plots.latent_panels({name: (z[shown], names) for name, z in flat.items()})
    sampled = {name: prior_samples(run, SHOWN) for name, run in runs.items() if hasattr(run.model, "prior")}
    if sampled:
        drawn["samples"] = plots.comparison(sampled)
    return [*save_pictures(folder, drawn), write_table(folder / "figures.csv", rows)]


def _check(runs: Mapping[str, CodingRun[Any]], test: ImageSet) -> None:
    """Nothing is measured of some runs that will fail with others."""
    shapes = {name: run.model.config.image_shape for name, run in runs.items()}
    if set(shapes.values()) != {tuple(test.images.shape[1:])}:
        expected = f"at least one, all of the test images' size {tuple(test.images.shape[1:])}"
        _errors.fail_value("runs", expected, shapes)
    for name, run in runs.items():
        if run.model.config.classes:
            as_classes(test.labels, len(test), run.model.config.classes, f"{name}: labels")


def _drawn(runs: Mapping[str, CodingRun[Any]], test: ImageSet) -> dict[str, Tensor]:
    some = ImageSet(test.images[:SHOWN], None if test.labels is None else test.labels[:SHOWN])
    rows = {name: drawable(run.reconstruct(some.images, labels_for(run, some))) for name, run in runs.items()}
    return {"original": to_unit(drawable(some.images)), **rows}


def _walked(runs: Mapping[str, CodingRun[Any]], test: ImageSet, latents: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The straight way of each run."""
    return {name: walks(run, test, latents[name])["linear"] for name, run in runs.items()}


def _history(folder: Path) -> dict[str, list[float]]:
    return {name: values for name, values in history(folder).items() if name not in _NOT_LOSSES}
