"""`latentcore interpolate`."""

from pathlib import Path

import torch
from torch import Tensor

from latentcore import plots
from latentcore._files import printable
from latentcore.data import read_image
from latentcore.evaluate.autoencoder import ways
from latentcore.plots.style import literal
from latentcore.training.autoencoder import AutoencoderRun
from latentcore.training.runs import load_run

_ENLARGE = 6  # pixels of a film along a pixel of the model


def interpolate(
    *, run: Path, first: Path, last: Path, steps: int, label: int | None, fit: bool, invert: bool, out: Path
) -> None:
    """Draw the way from an image to another in latent space: a picture, or a film that goes there and back.

    The way is straight; in a picture along a great circle too, where the model has more than one latent axis.
    """
    opened = load_run(run)
    if not isinstance(opened, AutoencoderRun):
        raise ValueError(f"{run}: expected a run with an autoencoder, got one of {opened.config['system']!r}")
    if steps < 2:
        raise ValueError(f"--steps: expected at least 2, got {steps}")
    if out.suffix not in (".gif", ".png"):
        raise ValueError(f"--out: expected a file named .png or .gif, got {out.name!r}")
    images = torch.stack([read_image(path, opened.model.config.image_shape, fit=fit) for path in (first, last)])
    ends = opened.encode(255 - images if invert else images, _labels(label, 2))
    drawn = ways(opened, ends[0], ends[1], steps, _labels(label, steps))
    if out.suffix == ".gif":
        there = drawn["linear"]
        plots.save_gif(torch.cat([there, there.flip(0)[1:-1]]), out, enlarge=_ENLARGE)
    else:
        plots.save_figure(plots.interpolation(drawn, ends=(literal(first.stem), literal(last.stem))), out)
    print(printable(f"{out}: from {first.name} to {last.name} in {steps} steps"))


def _labels(label: int | None, count: int) -> Tensor | None:
    return None if label is None else torch.full((count,), label)
