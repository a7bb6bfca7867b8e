"""Tables on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table


def show(title: str, rows: Mapping[str, str]) -> None:
    """Print a table of two columns; long values are wrapped, not cut."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, value)
    Console(highlight=False).print(table)


def number(value: float) -> str:
    """A figure with the digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
