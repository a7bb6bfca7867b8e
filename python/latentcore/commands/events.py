"""What `latentcore data` does with files of electrons and photons."""

import time
from dataclasses import replace
from pathlib import Path

import torch

from latentcore.data import egamma
from latentcore.data.egamma.simulator import SimulatorConfig, write
from latentcore.terminal.tables import number, show

_CHANNELS = ("energy", "time", "third channel")


def simulate(out: Path, events: int, seed: int, fluctuation: float | None) -> None:
    """Write simulated electrons and photons to an HDF5 file like the public ones."""
    config = SimulatorConfig()
    if fluctuation is not None:
        config = replace(config, fluctuation=fluctuation)
    began = time.perf_counter()
    write(out, events, config, seed, threads=torch.get_num_threads())
    rate = events / (time.perf_counter() - began)
    print(f"{out}: {events:,} events, {number(rate)} events/s")


def inspect(file: Path, picture: Path | None) -> None:
    """Print what a file of electrons and photons holds, and draw the mean image of each class."""
    from latentcore.plots import class_images, save_figure

    found = egamma.inspect(file)
    mean, deviation = found["normalisation"].mean, found["normalisation"].std
    rows = {
        "events": " + ".join(f"{count:,} {name}s" for name, count in found["classes"].items()),
        "X": f"{found['shape']} {found['dtype']}",
        "y": found["label_dtype"],
        "chunks": f"{found['chunks']}, {', '.join(found['compression']) or 'not compressed'}",
    }
    names = [*_CHANNELS, *(f"channel {number}" for number in range(4, found["shape"][3] + 1))][: found["shape"][3]]
    for channel, name in enumerate(names):
        low, high, zeros = (found[key][channel] for key in ("minimum", "maximum", "zeros"))
        spread = f"mean {float(mean[channel]):.4g}, deviation {float(deviation[channel]):.4g}"
        rows[name] = f"{low:.4g} to {high:.4g}, {spread}, {zeros:.1%} zeros"
    show(str(file), rows)
    target = picture or file.with_suffix(".png")
    images = torch.as_tensor(found["mean_images"])
    save_figure(class_images(images, list(found["classes"]), names), target)
    print(f"\nmean images  {target}")
