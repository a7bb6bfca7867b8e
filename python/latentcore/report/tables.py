"""Tables of a run folder as a page shows them: as many rows, columns and letters as it has room for."""

import csv
import math
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from latentcore import _errors
from latentcore._files import read_bounded

T = TypeVar("T")
Row = dict[str, float | None]

_MOST_ROWS = 200  # of a table that is shown
_MOST_EPOCHS = 20_000
_MOST_COLUMNS = 60  # of a table or of the curves
_LONGEST = 1000  # letters of a word, a name or a sentence


def short(value: object) -> str:
    """A word as a page shows it: not all of one that is longer than any page."""
    try:
        text = str(value)
    except ValueError:  # Python's limit on the digits of whole numbers
        return "a number of very many digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def some(missing: list[str], what: str, kind: str, values: list[T], most: int) -> list[T]:
    """The first of them; the page says how many there are besides."""
    if len(values) > most:
        missing.append(f"{what}: {len(values):,} {kind} are there, of which the page has {most}.")
    return values[:most]


def history(path: Path, missing: list[str]) -> list[Row]:
    """The rows of a `metrics.csv`; what is no finite number is None.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no table, or one without a row.
    """
    lines = read_bounded(path).decode().splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):
        # the first digits of a number are another number
        lines.pop()
        missing.append("metrics.csv: the last line is cut short and left out.")
    rows = csv.DictReader(lines)
    columns = _columns(missing, path.name, rows)
    known = [{column: _number(row[column]) for column in columns} for row in islice(rows, _MOST_EPOCHS)]
    if not known:
        _errors.fail_value(str(path), "a row for each epoch", "none")
    if next(rows, None) is not None:
        missing.append(f"metrics.csv: more than {_MOST_EPOCHS:,} rows are there, of which the page has the first.")
    return known


def table(path: Path, missing: list[str]) -> list[dict[str, float | str]]:
    """The first rows of a table of numbers and words; errors as `history`."""
    lines = read_bounded(path).decode().splitlines(keepends=True)
    rows = csv.DictReader(lines, restval="")
    columns = _columns(missing, f"pictures/{path.name}", rows)
    return [{short(column): _cell(row[column]) for column in columns} for row in islice(rows, _MOST_ROWS)]


def _columns(missing: list[str], what: str, rows: "csv.DictReader[str]") -> list[str]:
    """The names of the columns, each once, as many as the page has."""
    names = [name for name in dict.fromkeys(rows.fieldnames or ()) if name]
    return some(missing, what, "columns", names, _MOST_COLUMNS)


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _cell(text: str) -> float | str:
    value = _number(text)
    return short(text) if value is None else value
