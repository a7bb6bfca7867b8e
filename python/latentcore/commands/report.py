"""`latentcore report`."""

from pathlib import Path

from latentcore import _extras
from latentcore.terminal.parsing import Parser


def report(words: list[str]) -> None:
    """Write one self-contained page about runs, and print where it is."""
    does = "one page that shows runs, with a latent explorer"
    parser = Parser("report", does, "latentcore report runs/first runs/second --out report.html")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="the page to write (%(default)s)"
    )
    told = parser.told(words)
    _extras.need("report", "train")
    from latentcore.report.writing import write_report

    page = write_report(told["runs"], told["out"])
    count = len(told["runs"])
    print(f"{page}: {count} run{'s' if count > 1 else ''}, {page.stat().st_size / 1e6:.1f} MB")
