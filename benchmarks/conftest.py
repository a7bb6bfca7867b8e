import os
import platform
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import contest, memory, peers
from benchmarks.quality.figures import machine
from latentcore import __version__

ROWS: list[dict[str, Any]] = []
OURS, OTHERS = "ours, ms / MB", "others, ms / MB"


@pytest.fixture(scope="session", autouse=True)
def threads():
    torch.set_num_threads(os.cpu_count() or 1)


@pytest.fixture
def timed(benchmark):
    """Time a `contest.Case`; its row is in the table at the end."""

    def run(**case):
        torch.manual_seed(0)
        ROWS.append(contest.run(contest.Case(**case), benchmark))

    return run


def pytest_benchmark_update_machine_info(config, machine_info):
    """What matters of the machine, without its name."""
    machine_info.clear()
    machine_info |= machine() | {"system": platform.system(), "latentcore": __version__, **peers.versions()}
    machine_info |= contest.machine_limits()


def pytest_benchmark_update_json(config, benchmarks, output_json):
    for benchmark in output_json["benchmarks"]:
        del benchmark["stats"]["data"]


def pytest_terminal_summary(terminalreporter):
    if not ROWS:
        return
    limits = contest.machine_limits()
    terminalreporter.section("latentcore against its peers")
    Console(highlight=False, width=200).print(_table())
    terminalreporter.line(
        f"ratio: best peer / latentcore. limit: the fraction of {limits['copy_bytes_per_s'] / 1e9:.1f} GB/s (copy) or "
        f"{limits['sgemm_flop_per_s'] / 1e9:.0f} GFLOP/s (sgemm) that is reached; load {os.getloadavg()[0]:.1f}"
    )
    counted = "the most that one call has allocated at a time, its result included"
    terminalreporter.line(f"MB: {counted if memory.COUNTED else memory.NOT_COUNTED}")


def _table() -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("operator", "shape", OURS, OTHERS, "ratio", "at least", "goal", "limit"):
        table.add_column(column, justify="left" if column in ("operator", "shape", OTHERS) else "right")
    for row in ROWS:
        others = (f"{name} {_cost(row, name)}" for name in row["seconds"] if name != contest.OURS)
        table.add_row(
            row["operator"],
            row["shape"],
            _cost(row, contest.OURS),
            ", ".join(others),
            f"{row['ratio']:.3g}",
            _bar(row),
            "" if row["goal"] is None else f"{row['goal']:g}",
            f"{100 * row['fraction_of_limit']:.0f} %",
        )
    return table


def _cost(row: dict[str, Any], name: str) -> str:
    return f"{1e3 * row['seconds'][name]:.3g} / {memory.megabytes(row['peak_bytes'][name])}"


def _bar(row: dict[str, Any]) -> str:
    if row["at_least"] is None:
        return "" if row["ratio"] >= 1 else "LOST"
    return f"{row['at_least']:g}" if row["ratio"] >= row["at_least"] else f"{row['at_least']:g} MISSED"
