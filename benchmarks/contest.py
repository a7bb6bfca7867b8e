"""One operator against everything that a user could take instead: the same answer, then the time and the memory."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import memory
from latentcore.testing import relative_error

OURS = "latentcore"
_ROUND_SECONDS = 0.02
_PAUSE = 0.1
_LONG = 0.5
_MINUTES = 20.0
_MOST_ROUNDS = 11
_FEWEST_ROUNDS = 3


@dataclasses.dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes:
        operator: The table's first column.
        shape: The table's second column.
        contestants: What is called, by name; `latentcore` among them. Each allocates its output.
        at_least: The ratio (best other time / ours) to reach, or None.
        goal: A better ratio, or None.
        bytes: What has to be read and written at the least.
        flop: Floating-point operations that the result needs at the least.
        against: The contestants that the ratio counts; all by default.
        result: Picks of a contestant's result what all must agree on.
        tolerance: Norm of the difference over the norm of our result that is still agreement.
        scale: Contestants that do only a part of the work, with what multiplies their time.
        seconds: About how long the rounds of one contestant may take.
    """

    operator: str
    shape: str
    contestants: Mapping[str, Callable[[], Any]]
    at_least: float | None
    goal: float | None
    bytes: float
    flop: float = 0
    against: tuple[str, ...] = ()
    result: Callable[[Any], Any] = lambda result: result
    tolerance: float = 1e-4
    scale: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 3.0


@functools.cache
def machine_limits() -> dict[str, float]:
    """Bytes per second of a large copy and FLOP per second of a large sgemm, both by torch, measured in this run."""
    source = torch.ones(50_000_000)
    target = torch.empty_like(source)
    a = torch.randn(2048, 2048)
    copy = min(_seconds(lambda: target.copy_(source), 1) for _ in range(7))
    sgemm = min(_seconds(lambda: a @ a, 1) for _ in range(7))
    return {"copy_bytes_per_s": 2 * source.nbytes / copy, "sgemm_flop_per_s": 2 * 2048**3 / sgemm}


def run(case: Case, benchmark: BenchmarkFixture) -> dict[str, Any]:
    """Check that all agree, time them in turns, and return the case's row, which pytest-benchmark stores too.

    pytest-benchmark times our rounds; the others take their turns in the set-up of each of them. Memory is that of
    calls of its own, after all are timed.
    """
    _check_agreement(case)
    plans = {name: _plan(case, contestant) for name, contestant in case.contestants.items()}
    calls, rounds = ({name: plan[i] for name, plan in plans.items()} for i in range(2))
    times: dict[str, list[float]] = {name: [] for name in case.contestants}

    def turn(name: str) -> None:
        factor = case.scale.get(name, 1.0) / calls[name]
        times[name].append(factor * _seconds(case.contestants[name], calls[name]))

    def others() -> None:
        for name in case.contestants:
            if name != OURS and len(times[name]) < rounds[name]:
                _settle(case.contestants[name], times[name])
                turn(name)
        _settle(case.contestants[OURS], times[OURS])

    pedantic: Callable[..., Any] = benchmark.pedantic  # untyped
    pedantic(functools.partial(turn, OURS), setup=others, rounds=max(rounds.values()))
    row = _row(case, {name: statistics.median(values) for name, values in times.items()})
    row["peak_bytes"] = {name: _peak(case.contestants[name], times[name][-1]) for name in case.contestants}
    benchmark.extra_info.update(row)
    return row


def _row(case: Case, medians: dict[str, float]) -> dict[str, Any]:
    counted = {name: seconds for name, seconds in medians.items() if name != OURS}
    if case.against:
        counted = {name: seconds for name, seconds in counted.items() if name in case.against}
    best = min(counted, key=lambda name: counted[name])
    limits = machine_limits()
    least = max(case.bytes / limits["copy_bytes_per_s"], case.flop / limits["sgemm_flop_per_s"])
    return {
        "operator": case.operator,
        "shape": case.shape,
        "seconds": medians,
        "best_peer": best,
        "ratio": counted[best] / medians[OURS],
        "at_least": case.at_least,
        "goal": case.goal,
        "fraction_of_limit": least / medians[OURS],
    }


def _check_agreement(case: Case) -> None:
    expected = case.result(case.contestants[OURS]())
    for name, contestant in case.contestants.items():
        actual = case.result(contestant())
        for a, e in zip(_tensors(actual), _tensors(expected), strict=True):
            error = relative_error(a, e)
            assert error <= case.tolerance, f"{case.operator} {case.shape}: {name} differs from ours by {error:.2g}"


def _tensors(result: Any) -> list[torch.Tensor]:
    items = result if isinstance(result, list | tuple) else [result]
    return [torch.as_tensor(np.asarray(item)) for item in items]


def _peak(contestant: Callable[[], Any], seconds: float) -> int | None:
    """The median of three calls: in one its threads may not have been at work together, or others in the background."""
    peaks = [memory.peak_bytes(contestant) for _ in range(1 if seconds > _LONG else 3)]
    counted = [peak for peak in peaks if peak is not None]
    return statistics.median_low(counted) if counted else None


def _settle(contestant: Callable[[], Any], times: list[float]) -> None:
    """Let the last one's threads go to sleep, which spin for a while on the next one's cores; wake this one's, and give
    it the memory that it is going to use."""
    time.sleep(_PAUSE)
    if not times or times[-1] < _LONG:
        contestant()


def _plan(case: Case, contestant: Callable[[], Any]) -> tuple[int, int]:
    """Calls in a round, and rounds; one round of one call is enough of what takes minutes."""
    once = _seconds(contestant, 1)
    if once < _LONG:
        once = _seconds(contestant, 1)
    calls = max(1, int(_ROUND_SECONDS / once))
    fewest = 1 if once > _MINUTES else _FEWEST_ROUNDS
    return calls, min(max(int(case.seconds / (calls * once)), fewest), _MOST_ROUNDS)


def _seconds(function: Callable[[], Any], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - began
