"""What a training tells: a progress bar, a CSV file and TensorBoard."""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from latentcore._files import inside, naming, remove_leftovers, replacing

_WRITTEN = ("checkpoints", "pictures", "tensorboard")  # folders of a run into which a training writes
_SHOWN = ("loss", "auc")


class Journal:
    """Shows a progress bar where standard error is a terminal, and writes a row of figures per epoch.

    What a process that was killed left half-written in the run's folder is removed first.

    Args:
        folder: Run folder: `metrics.csv` and `tensorboard/` are written there.
        epochs: Epochs in all.
        steps: Steps per epoch.
        done: Steps that an earlier call has done.
        unit: What an example is, in the plural.
        bar: Whether this process shows anything at all.
    """

    def __init__(self, folder: Path, *, epochs: int, steps: int, done: int, unit: str, bar: bool) -> None:
        self._path, self._epochs, self._unit = folder / "metrics.csv", epochs, unit
        if bar:  # the first process alone writes, and so did the one that may have been killed
            for place in (folder, *(inside(folder, folder / name) for name in _WRITTEN)):
                remove_leftovers(place)
        # rows of a run that was killed after its last checkpoint are taken back
        self._events = folder / "tensorboard"
        self._board = TensorBoardLogger(self._events, name="", version="", purge_step=done // steps)
        console = Console(stderr=True)
        columns = (
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}  {task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not (bar and console.is_terminal))
        self._task = self._bar.add_task(
            "", total=epochs * steps, completed=done, epoch=self._epoch(done // steps), figures="", rate=""
        )

    def __enter__(self) -> "Journal":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        with naming(self._events):
            self._board.finalize("success" if kind is None else "failed")

    def step(self) -> None:
        """Count a step."""
        self._bar.advance(self._task)

    def show(self, epoch: int, figures: Mapping[str, float], rate: float) -> None:
        """Show the figures that say how it goes, and the examples per second."""
        words = "  ".join(f"{name} {figures[name]:.4g}" for name in _SHOWN if name in figures)
        speed = f"{rate:,.0f} {self._unit}/s"
        self._bar.update(self._task, epoch=self._epoch(epoch), figures=words, rate=speed)

    def write(self, history: list[dict[str, float]]) -> None:
        """Write the figures; the last row is new."""
        row = history[-1]
        with naming(self._events):
            figures = {key: value for key, value in row.items() if key != "epoch"}
            self._board.log_metrics(figures, step=int(row["epoch"]))
        with replacing(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
            writer.writerows(history)

    def _epoch(self, epoch: int) -> str:
        return f"{min(epoch + 1, self._epochs)}/{self._epochs}"
