"""Tables on the terminal."""

from collections.abc import Mapping, Sequence

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
