"""The way from an image to another in latent space."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentcore import plots
from latentcore.data import read_image
from latentcore.evaluate.pictures import ways
from latentcore.plots.style import literal
from latentcore.training.run import CodingRun

_ENLARGE = 6  # pixels of a film along a pixel of the model


def write_way(
    run: CodingRun[Any],
    ends: tuple[Path, Path],
    out: Path,
    *,
    steps: int,
    label: int | None = None,
    fit: bool = False,
    invert: bool = False,
) -> None:
    """Draw the way from an image to another: a picture, or a film that goes there and back.

    The way is straight; in a picture along a great circle too, where the model has more than one latent axis and no
    other prior than N(0, I).

    Args:
        run: What encodes and decodes.
        ends: Files of the two images.
        out: A file named .png, or .gif for a film.
        steps: Images on the way, ends included.
        label: The class of both, where the model is told classes.
        fit: Whether images of another size are resized and cropped.
        invert: Whether the images are dark on light.
    """
    images = torch.stack([read_image(path, run.model.config.image_shape, fit=fit) for path in ends])
    first, last = run.encode(255 - images if invert else images, _labels(label, 2))
    drawn = ways(run, first, last, steps, _labels(label, steps))
    if out.suffix == ".gif":
        there = drawn["linear"]
        plots.save_gif(torch.cat([there, there.flip(0)[1:-1]]), out, enlarge=_ENLARGE)
    else:
        names = (literal(ends[0].stem), literal(ends[1].stem))
        plots.save_figure(plots.interpolation(drawn, ends=names), out)


def _labels(label: int | None, count: int) -> Tensor | None:
    return None if label is None else torch.full((count,), label)
