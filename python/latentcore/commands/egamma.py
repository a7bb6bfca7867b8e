"""Electrons and photons: `latentcore data simulate`, `data inspect`, `train egamma` and `predict`."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from latentcore.commands.inputs import check_alone
from latentcore.commands.outputs import place_of
from latentcore.data import egamma
from latentcore.data.egamma.simulator import SimulatorConfig, write
from latentcore.evaluate import egamma as evaluation
from latentcore.evaluate.pictures import loss_figure, save_pictures
from latentcore.evaluate.predictions import write_predictions
from latentcore.plots import class_images, save_figure
from latentcore.terminal.tables import finish, number, show
from latentcore.training.egamma import EgammaConfig, EgammaRun, resume_egamma, train_egamma
from latentcore.training.presets import EGAMMAS
from latentcore.training.processes import is_first
from latentcore.training.runs import load_run
from latentcore.training.systems import configuration_of

T = TypeVar("T")

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


def train(
    *,
    files: Sequence[Path],
    test: Sequence[Path] | None,
    preset: str | None,
    config: Path | None,
    storage: str | None,
    validation: float | None,
    test_share: float | None,
    width: float | None,
    batch_size: int | None,
    learning_rate: float | None,
    epochs: int | None,
    seed: int | None,
    resume: Path | None,
    run_dir: Path | None,
) -> None:
    """Train a classifier of electrons and photons, and evaluate it on the test events."""
    if resume is not None:
        given = {"preset": preset, "config": config, "storage": storage, "validation": validation, "width": width}
        training = {"batch_size": batch_size, "learning_rate": learning_rate, "epochs": epochs, "seed": seed}
        check_alone({**given, **training, "test_share": test_share, "run_dir": run_dir})
        run = resume_egamma(resume, files or None, test=test)
    else:
        if not files:
            raise ValueError("FILE: expected at least one HDF5 file of events, got none")
        if preset and config:
            raise ValueError("--preset: expected no preset beside --config, got both")
        chosen = configuration_of(config, EgammaConfig) if config else EGAMMAS[preset or "egamma"]
        if not config and validation == 0:  # a preset's early stop has nothing to look at then
            chosen = replace(chosen, train=replace(chosen.train, early_stop=0))
        chosen = chosen.for_events(egamma.EgammaFiles(files[0]).shape)
        chosen = replace(
            chosen,
            resnet=_with(chosen.resnet, width=width),
            train=_with(chosen.train, batch_size=batch_size, learning_rate=learning_rate, epochs=epochs, seed=seed),
            events=_with(chosen.events, storage=storage, validation=validation, test=test_share),
        )
        run = train_egamma(files, chosen, run_dir, test=test)
    if is_first():
        report(run, files or None, test)


def report(
    run: EgammaRun,
    files: Sequence[Path] | None = None,
    test: Sequence[Path] | None = None,
    out: Path | None = None,
) -> None:
    """Evaluate a run on its test events, and draw its pictures."""
    parts = run.parts(files, test)
    place = place_of(run.folder, out, True, "", "")
    scored = evaluation.score(run, parts.test_files, parts.test)
    pictures = evaluation.write_pictures(place / "pictures", scored)
    terms = ("loss", "validation_loss") if parts.validation is not None else ("loss",)
    pictures += save_pictures(place / "pictures", {"losses": loss_figure(run.folder, terms)})
    finish(run, evaluation.figures(scored), place)
    print(f"pictures     {', '.join(path.name for path in pictures)}")


def predict(*, run: Path, files: Sequence[Path], out: Path) -> None:
    """Write what a run says of events, labelled or not."""
    opened = load_run(run)
    if not isinstance(opened, EgammaRun):
        raise ValueError(f"{run}: expected a run of the system 'egamma', got one of {opened.config['system']!r}")
    count = write_predictions(opened, egamma.EgammaFiles(files, labelled=False), out)
    print(f"{out}: {count:,} events")


def _with(config: T, **changes: object) -> T:
    """The configuration with those of the changes that are not None."""
    return replace(config, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[type-var]


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
