"""python -m benchmarks.golden [--json FILE] [--compare FILE] [--figures FILE] [--only NAME ...]"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.golden.differences import differences
from benchmarks.golden.runs import RUNS
from benchmarks.golden.work import chosen, figures, golden


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what all runs have come to")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="name every difference from such a file")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="write the runs' figures, for the tests")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some runs, by their names or by their first letters")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (%(default)s)")
    parser.add_argument("--work", type=Path, metavar="DIR", help="an empty folder to work in, which stays")
    options = parser.parse_args()
    names = chosen(RUNS, options.only)
    if not names:
        parser.error(f"--only: expected some of {', '.join(RUNS)}, got {', '.join(options.only)}")
    before = json.loads(options.compare.read_text()) if options.compare else None
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = golden(names, options.work or Path(folder), jobs=options.jobs, threads=options.threads)
    print(f"{len(found)} runs, {sum(map(len, found.values()))} entries, {time.perf_counter() - began:.0f} s")
    for path, content in ((options.json, found), (options.figures, figures(found))):
        if path:
            path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    if before is None:
        return 0
    lines = differences({name: before[name] for name in chosen(before, options.only)}, found)
    print("\n".join(lines) if lines else "all bits are the same")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
