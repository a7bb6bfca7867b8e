"""Tables on the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table


def show(title: str, rows: Mapping[str, str]) -> None:
    """Print a table of two columns, a line a row: paths stay whole, for copying."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    for name, value in rows.items():
        table.add_row(name, value)
    width = max(map(len, rows)) + max(map(len, rows.values())) + 8
    Console(highlight=False, width=max(width, len(title) + 1)).print(table)


def number(value: float) -> str:
    """A figure with the digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
