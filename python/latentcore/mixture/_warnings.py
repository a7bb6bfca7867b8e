"""Warnings that point to the user's line, through however many functions of this package and decorators it went."""

import contextlib
import sys
import warnings
from pathlib import Path

_OURS = str(Path(__file__).parents[1])


def warn(message: str, category: type[Warning]) -> None:
    """`warnings.warn` in the name of the line that called into this package."""
    frame, level = sys._getframe(1), 2
    # Python 3.12 has skip_file_prefixes for this
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_OURS, contextlib.__file__)):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
