"""`latentcore data simulate` and `latentcore data inspect`."""

import time
from dataclasses import replace
from pathlib import Path

import torch

from latentcore.commands.tables import number, show
from latentcore.data import egamma
from latentcore.data.egamma_simulator import SimulatorConfig, write
from latentcore.plots import class_images, save_figure

_CHANNELS = ("energy", "time", "third channel")


def simulate(*, events: int, out: Path, seed: int | None, fluctuation: float | None) -> None:
    """Write simulated electrons and photons to an HDF5 file like the public ones."""
    config = SimulatorConfig()
    if fluctuation is not None:
        config = replace(config, fluctuation=fluctuation)
    began = time.perf_counter()
    write(out, events, config, seed or 0, threads=torch.get_num_threads())
    rate = events / (time.perf_counter() - began)
    print(f"{out}: {events:,} events, {number(rate)} events/s")


def inspect(*, file: Path, picture: Path | None) -> None:
    """Print what a file of electrons and photons holds, and draw the mean image of each class."""
    found = egamma.inspect(file)
    mean, deviation = found["normalisation"].mean, found["normalisation"].std
    rows = {
        "events": " + ".join(f"{count:,} {name}s" for name, count in found["classes"].items()),
        "X": f"{found['shape']} {found['dtype']}",
        "y": found["label_dtype"],
        "chunks": f"{found['chunks']}, {', '.join(found['compression']) or 'not compressed'}",
    }
    for channel, name in enumerate(_CHANNELS[: found["shape"][3]]):
        low, high, zeros = (found[key][channel] for key in ("minimum", "maximum", "zeros"))
        spread = f"mean {float(mean[channel]):.4g}, deviation {float(deviation[channel]):.4g}"
        rows[name] = f"{low:.4g} to {high:.4g}, {spread}, {zeros:.1%} zeros"
    show(str(file), rows)
    target = picture or file.with_suffix(".png")
    images = torch.as_tensor(found["mean_images"])
    save_figure(class_images(images, list(found["classes"]), _CHANNELS[: images.shape[1]]), target)
    print(f"\nmean images  {target}")
