"""Tables on the terminal."""

from collections.abc import Mapping, Sequence

from latentcore.terminal.parsing import table


def show(title: str, rows: Mapping[str, str]) -> None:
    """Print a table of two columns, a line a row: paths stay whole, for copying."""
    print(f"{title}\n{table(rows, indent='')}")


def show_rows(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table with a line for each row; a column that a row lacks stays empty."""
    lines = [list(columns), *([_cell(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    print(title)
    for first, *others in lines:
        aligned = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([f"{first:<{widths[0]}}", *aligned]).rstrip())


def number(value: float) -> str:
    """A figure with the digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cell(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)
