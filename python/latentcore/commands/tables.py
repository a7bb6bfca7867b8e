"""Tables on the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from latentcore._files import write_json
from latentcore.training.provenance import note_command
from latentcore.training.runs import Run


def show(title: str, rows: Mapping[str, str]) -> None:
    """Print a table of two columns, a line a row: paths stay whole, for copying."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    for name, value in rows.items():
        table.add_row(name, value)
    width = max(map(len, rows)) + max(map(len, rows.values())) + 8
    Console(highlight=False, width=max(width, len(title) + 1)).print(table)


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table with a line for each row; a column that a row lacks stays empty."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True, justify="left" if column == columns[0] else "right")
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    Console(highlight=False, width=1000).print(table)


def number(value: float) -> str:
    """A figure with the digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cell(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)


def finish(run: Run, found: Mapping[str, float], out: Path | None = None) -> None:
    """Add figures to a run's `metrics.json`, and the command that found them to its `commands.json`; print them all.

    Where another folder than the run's is `out`, both files are written there, and the run stays as it is.
    """
    place = out or run.folder
    figures = {**run.metrics, **found} if place == run.folder else dict(found)
    write_json(place / "metrics.json", figures)
    note_command(place)
    if figures:  # of a GAN without a classifier there are none
        show("figures", {name: number(value) for name, value in figures.items()})
    print(f"\nrun folder   {run.folder}")
    if place != run.folder:
        print(f"figures in   {place}")
