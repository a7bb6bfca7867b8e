"""python -m benchmarks.quality SUITE [--rows NAME ...] [--full] --json FILE [--data FOLDER]"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks.quality import autoencoders, digits148, egamma, generative, latent_rotation
from benchmarks.quality.figures import report
from latentcore._files import write_json
from latentcore.terminal.tables import number, show

SUITES = {
    "autoencoders": autoencoders,
    "digits148": digits148,
    "egamma": egamma,
    "generative": generative,
    "latent-rotation": latent_rotation,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="only these figures")
    parser.add_argument("--full", action="store_true", help="all seeds")
    parser.add_argument("--json", type=Path, required=True, help="the file to write")
    parser.add_argument("--data", type=Path, help="folder of MNIST's IDX files (LATENTCORE_DATA)")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    known = [figure.name for figure in suite.FIGURES]
    names = options.rows or [name for name in known if options.full or name not in suite.FULL_ONLY]
    if unknown := set(names) - set(known):
        parser.error(f"--rows: expected some of {', '.join(known)}, got {', '.join(sorted(unknown))}")
    began = time.perf_counter()
    try:
        rows = suite.run(options.data, full=options.full, names=names)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_json(options.json, report(options.suite, rows, time.perf_counter() - began))
    seeds = max(len(row["values"]) for row in rows)
    show(f"{options.suite}, {seeds} seed(s)", {row["figure"]: _words(row) for row in rows})
    return 0


def _words(row: dict[str, object]) -> str:
    bar = next((f"{kind.replace('_', ' ')} {row[kind]:g}" for kind in ("at_least", "at_most") if kind in row), "")
    goal = f", goal {row['goal']:g}" if row["goal"] is not None else ""
    met = {True: "met: ", False: "MISSED: ", None: ""}[row["met"]]  # type: ignore[index]
    return f"{number(row['reached']):>10}   {met}{bar}{goal}"  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
