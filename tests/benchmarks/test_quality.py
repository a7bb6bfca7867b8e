"""The quality suites' files, on a few digits."""

import dataclasses
import json
import sys

import pytest
from benchmarks.quality import __main__ as quality
from benchmarks.quality import digits148
from benchmarks.quality.figures import Figure

CONTRACT = ["f1_mean", "f1_worst", "ssim", "mse", "seconds_per_seed", "parameters", "f1_plain"]


def test_a_figure_counts_the_mean_or_the_worst_seed():
    assert Figure("a", "at_least", 2).row([1, 4]) == {
        "figure": "a", "values": [1, 4], "reached": 2.5, "goal": None, "at_least": 2, "met": True
    }  # fmt: skip
    assert Figure("a", "at_least", 2, worst=True).row([1, 4])["met"] is False
    assert Figure("a", "at_most", 2, worst=True).row([1, 4])["reached"] == 4
    assert Figure("a").row([1.0])["met"] is None


def test_the_file_is_as_promised(tmp_path, monkeypatch, mnist_folder, capsys):
    preset = digits148.DIGITS148
    small = dataclasses.replace(preset, train=dataclasses.replace(preset.train, epochs=3))
    monkeypatch.setattr(digits148, "DIGITS148", small)
    file = tmp_path / "out.json"
    arguments = ["quality", "digits148", "--json", str(file), "--data", str(mnist_folder)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert quality.main() == 0
    content = json.loads(file.read_text())
    assert list(content) == ["suite", "commit", "machine", "seconds", "rows"]
    assert [row["figure"] for row in content["rows"]] == CONTRACT
    for row in content["rows"]:
        assert len(row["values"]) == 1
        assert {"figure", "values", "reached", "goal", "met"} <= set(row)
    assert "MISSED" in capsys.readouterr().out  # three epochs do not reach the bars


def test_an_unknown_row_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["quality", "digits148", "--json", str(tmp_path / "a"), "--rows", "nonsense"])
    with pytest.raises(SystemExit):
        quality.main()
    assert "--rows: expected some of f1_mean" in capsys.readouterr().err
