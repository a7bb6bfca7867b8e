"""The files of docs/own-models.md run, and leave what the page says."""

import csv
import json
import runpy

import pytest

from latentcore.cli import main
from recipes import Recipe

PAGE = Recipe("own-models.md")


@pytest.mark.parametrize("name", PAGE.files)
def test_a_file_runs(name, tmp_path, monkeypatch, capsys):
    PAGE.follow(tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path(name, run_name="__main__")
    assert capsys.readouterr().out.strip()
    (run,) = (tmp_path / "runs").iterdir()
    figures = json.loads((run / "metrics.json").read_text())
    with (run / "metrics.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
    assert figures.keys() >= {"mse", "psnr", "test_images"}
    assert ("iw_nll" in figures) == (name == "laplace_vae.py")
    assert (run / "pictures" / "reconstructions.png").exists()
    (page,) = tmp_path.glob("*.html")
    assert "<h3>Missing</h3>" not in page.read_text() or name == "brush.py"  # which has no decoder for the explorer
    assert main(["evaluate", str(run)]) == 1
    assert "evaluate_run take model=" in capsys.readouterr().err


def test_a_model_is_one_file_and_at_most_one_dataclass():
    for text in PAGE.files.values():
        assert text.count("@dataclass") <= 1
