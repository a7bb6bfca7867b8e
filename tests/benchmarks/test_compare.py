import json

import pytest
import torch
from benchmarks.compare import fallen, main

from benchmarks import contest


def result(**ratios):
    rows = [{"operator": name, "shape": "3×2", "ratio": ratio} for name, ratio in ratios.items()]
    return {"benchmarks": [{"extra_info": row} for row in rows]}


def test_a_ratio_that_fell_or_vanished_is_named(tmp_path, capsys):
    before, after = result(rotate=10.0, em=5.0, vae=2.0), result(rotate=8.6, em=4.2)
    assert fallen(before, after) == ["em 3×2: 5 before, 4.2 now (-16%)", "vae 3×2: 2 before, not measured now"]
    for name, content in (("before", before), ("after", after)):
        (tmp_path / name).write_text(json.dumps(content))
    assert main([str(tmp_path / "before"), str(tmp_path / "after")]) == 1
    assert "em 3×2" in capsys.readouterr().out
    assert main([str(tmp_path / "before"), str(tmp_path / "before")]) == 0


class Benchmark:
    """Stands in for pytest-benchmark's fixture, which is disabled in tests."""

    def __init__(self):
        self.extra_info = {}

    def pedantic(self, target, setup, rounds):
        for _ in range(rounds):
            setup()
            target()


def case(**changes):
    x = torch.randn(100_000)
    contestants = {"latentcore": lambda: x + 1, "twice": lambda: (x + 0.5) + 0.5, "other": lambda: x + 1}
    common = {"at_least": 1.0, "goal": None, "bytes": 2 * x.nbytes, "seconds": 0.01}
    return contest.Case(operator="add", shape="100k", **{"contestants": contestants, **common, **changes})


def test_a_contest_times_everyone_and_counts_the_best_of_those_it_names(monkeypatch):
    monkeypatch.setattr(contest, "machine_limits", lambda: {"copy_bytes_per_s": 1e10, "sgemm_flop_per_s": 1e11})
    monkeypatch.setattr(contest, "_PAUSE", 0)
    row = contest.run(case(against=("twice",)), Benchmark())
    assert set(row["seconds"]) == set(row["peak_bytes"]) == {"latentcore", "twice", "other"}
    assert row["best_peer"] == "twice"
    assert row["ratio"] == pytest.approx(row["seconds"]["twice"] / row["seconds"]["latentcore"])
    scaled = contest.run(case(against=("twice",), scale={"twice": 1e6}), Benchmark())
    assert scaled["ratio"] > 1000


def test_a_contestant_with_another_answer_stops_the_case():
    x = torch.randn(100)
    with pytest.raises(AssertionError, match="add 100k: wrong differs from ours"):
        contest.run(case(contestants={"latentcore": lambda: x, "wrong": lambda: 2 * x}), Benchmark())
