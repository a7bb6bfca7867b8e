"""The errors of bad arguments: one message with the argument's name, what was expected and what came. Without torch."""

from collections.abc import Collection
from numbers import Integral, Real
from typing import NoReturn

_LONGEST = 2000  # characters of what came in a message


def fail_value(name: str, expected: str, got: object) -> NoReturn:
    """Raise the ValueError that all checks of shapes, devices and ranges raise."""
    raise ValueError(f"{name}: expected {expected}, got {_short(got)}")


def fail_type(name: str, expected: str, got: object) -> NoReturn:
    """Raise the TypeError that all checks of types and dtypes raise."""
    raise TypeError(f"{name}: expected {expected}, got {_short(got)}")


def _short(got: object) -> str:
    """What came, cut where a file from elsewhere would make a message of megabytes."""
    words = str(got)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]}... ({len(words):,} characters)"


def one_of(name: str, value: object, choices: Collection[str]) -> None:
    """`value` is one of the words."""
    if value not in choices:
        fail_value(name, "one of " + ", ".join(repr(c) for c in choices), repr(value))


def number(name: str, value: object, expected: str = "a number") -> None:
    """`value` is a real number, Python's or NumPy's, not a bool."""
    if isinstance(value, bool) or not isinstance(value, int | float | Real):
        fail_type(name, expected, type(value).__name__)


def integer(name: str, value: object, low: int, high: int) -> None:
    """`value` is an int, Python's or NumPy's, not a bool, in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | Integral):
        fail_type(name, "an int", type(value).__name__)
    if not low <= int(value) <= high:
        fail_value(name, f"an int in [{low}, {high}]", value)
