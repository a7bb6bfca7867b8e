"""How far a pass over a stream is, on the terminal."""

import sys
from itertools import count

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """A bar on standard error, where that is a terminal: how much of a pass is read."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("pass {task.fields[number]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(
            *columns,
            console=console,
            disable=not console.is_terminal,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what is printed into a file stays there
        )
        self._passes = count(1)
        self._task = self._bar.add_task("", total=None, number=next(self._passes))

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int | None) -> None:
        """So many of the samples are read, of all, where that is known."""
        self._bar.update(self._task, completed=done, total=total)

    def end_pass(self) -> None:
        """The next pass begins."""
        self._bar.update(self._task, completed=0, number=next(self._passes))
