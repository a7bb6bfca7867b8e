"""Parameters of which a few serve while one works, and all in the long tests."""

from collections.abc import Iterable
from typing import Any

import pytest


def few(parameters: Iterable[Any], count: int = 1) -> list[Any]:
    """The parameters of a test, all but the first `count` marked `long`."""
    return [
        value if place < count else pytest.param(value, marks=pytest.mark.long)
        for place, value in enumerate(parameters)
    ]
