"""`latentcore report`."""

from collections.abc import Sequence
from pathlib import Path

from latentcore.report.page import write_report


def report(*, runs: Sequence[Path], out: Path) -> None:
    """Write one self-contained page about runs, and print where it is."""
    page = write_report(runs, out)
    print(f"{page}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {page.stat().st_size / 1e6:.1f} MB")
