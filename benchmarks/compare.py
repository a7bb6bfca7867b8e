"""python -m benchmarks.compare STORED NEW: every ratio that fell, or that is no longer measured."""

import json
import sys
from pathlib import Path
from typing import Any

_FALL = 0.15


def fallen(stored: dict[str, Any], new: dict[str, Any], most: float = _FALL) -> list[str]:
    """A line for each case of `stored` whose ratio to its best peer is lower by more than `most` in `new`.

    Ratios are compared, not seconds: they carry over from one machine to another of its kind.
    """
    now = _ratios(new)
    lines = []
    for case, before in _ratios(stored).items():
        if case not in now:
            lines.append(f"{case}: {before:.3g} before, not measured now")
        elif now[case] < before * (1 - most):
            lines.append(f"{case}: {before:.3g} before, {now[case]:.3g} now ({now[case] / before - 1:+.0%})")
    return lines


def _ratios(result: dict[str, Any]) -> dict[str, float]:
    rows = (benchmark["extra_info"] for benchmark in result["benchmarks"])
    return {f"{row['operator']} {row['shape']}": row["ratio"] for row in rows}


def main(arguments: list[str]) -> int:
    """Print the lines; 1 where there are any."""
    stored, new = (json.loads(Path(path).read_text()) for path in arguments)
    lines = fallen(stored, new)
    print("\n".join(lines) if lines else f"no ratio fell by more than {_FALL:.0%}")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
