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
from latentcore.models.priors import Prior

# shapes: (N, C, H, W) images, (L,) latents

_SAMPLES = 400_000  # of a prior
_BESIDE = 1000  # samples to each side of one along the first axis

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
    rows = _rows(run_folder, path)
    names = list(rows[0]) if terms is None else terms
    try:
        return {name: [float(row[name]) for row in rows] for name in names}
    except (KeyError, TypeError, ValueError):
        _errors.fail_value(str(path), f"a number for each epoch under {', '.join(map(str, names))}", "another content")


def loss_figure(run_folder: Path, terms: Sequence[str]) -> "Figure":
    """The curves of those of the terms that a run's `metrics.csv` has; of the loss alone where it has none of them."""
    known = _rows(run_folder, run_folder / "metrics.csv")[0]
    return plots.loss_curves(history(run_folder, [term for term in terms if term in known] or ["loss"]))


def _rows(run_folder: Path, path: Path) -> list[dict[str, str]]:
    content = read_bounded(inside(run_folder, path))
    try:
        rows = list(csv.DictReader(content.decode().splitlines(keepends=True)))
    except (csv.Error, UnicodeDecodeError) as error:
        _errors.fail_value(str(path), "a row for each epoch", str(error))
    if not rows:
        _errors.fail_value(str(path), "a row for each epoch", "none")
    return rows


def spread(images: Tensor, count: int) -> Tensor:
    """Some images from all over the set."""
    return images[torch.linspace(0, len(images) - 1, min(count, len(images))).long()]


def drawable(images: Tensor) -> Tensor:
    """Images (..., C, H, W) as pictures show them: grey or coloured as they are, of other channels their mean."""
    return images if images.shape[-3] in (1, 3) else to_unit(images).mean(-3, keepdim=True)


def ways(run: Any, first: Tensor, last: Tensor, steps: int, labels: Tensor | None = None) -> dict[str, Tensor]:
    """What is drawn between two latents (L,): straight, and along a great circle where there is more than one axis.

    Great circles are where N(0, I) has its samples: a model with another prior is drawn along straight ways alone.
    """
    prior = getattr(run.model, "prior", None)
    curved = len(first) > 1 and (prior is None or prior.standard)
    kinds = ("linear", "spherical") if curved else ("linear",)
    return {how: drawable(run.decode(plots.interpolate(first, last, steps, how), labels)) for how in kinds}


def note_of_prior(run: Any) -> str | None:
    """What a user should know of pictures of a run whose prior is another one than N(0, I)."""
    prior = getattr(getattr(run, "model", None), "prior", None)
    if not isinstance(prior, Prior) or prior.standard:
        return None
    return f"{type(prior).__name__}; great circles, rings and divergences of single axes exist for N(0, I) alone"


def prior_grid(prior: Prior) -> Tensor:
    """Latents (400, 2) on quantiles of a prior of two axes, for `plots.manifold`.

    The quantiles of the first axis run right, and those of the second one up, among samples whose first axis is about
    there. So each latent stands for as much of the prior as any other, and none lies where the prior has a gap. Of
    N(0, I), whose axes do not depend on each other, they are those of `plots.normal_grid`.
    """
    if prior.standard:
        return plots.normal_grid()
    samples = prior.sample(_SAMPLES, torch.Generator().manual_seed(0)).detach().float()
    quantiles = torch.linspace(0.05, 0.95, 20)
    places = (quantiles * _SAMPLES).long().unsqueeze(1) + torch.arange(-_BESIDE, _BESIDE)
    columns = samples[samples[:, 0].argsort()][places]
    ups = columns[..., 1].argsort(1)[:, (quantiles.flip(0) * 2 * _BESIDE).long()]
    return columns.gather(1, ups.unsqueeze(2).expand(-1, -1, 2)).transpose(0, 1).reshape(-1, 2)
