"""The report of hostile, damaged and unfinished run folders."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from report_pages import Page
from torch import nn

from latentcore.cli import main
from latentcore.evaluate.latents import latents_path
from latentcore.report.writing import write_report


def test_a_damaged_configuration_leaves_the_figures_of_any_system(copied, report):
    folder = copied("gan")
    (folder / "config.json").write_text("{")
    (folder / "metrics.json").write_text('{"seconds": 1, "frechet": 2.25}')
    text = report(folder).text
    assert "gan unknown" in text
    assert "Figures frechet 2.25 seconds 1 " in text
    assert "checkpoints: not opened" in text


def test_hostile_names_are_text(made, copied, report):
    name = "<script>alert(1)<!--"
    folder = copied("few-label", name)
    config = json.loads((folder / "config.json").read_text())
    config["source"] = {"</script><img src=x onerror=alert(2)>": "<b>'\"&"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.csv").write_text("epoch,</script><script>alert(3)</script>\n0,1\n1,2\n")
    (folder / "commands.json").write_text(json.dumps([{"command": "</code><script>alert(4)</script>"}]))
    shutil.copy(folder / "pictures" / "losses.png", folder / "pictures" / '"><svg onload=alert(5)>.png')
    page, plain = report(folder), report(made["few-label"].folder)
    assert name in page.text
    assert "</script><img src=x onerror=alert(2)>" in page.text
    assert len(page.all("script")) == len(plain.all("script"))
    assert not page.all("svg")
    assert not page.all("b")
    assert not [attributes for _, attributes in page.elements if any(key.startswith("on") for key in attributes)]
    for attributes, script in zip(page.all("script"), page.scripts, strict=True):
        assert not attributes or "<" not in script
    # plotly takes some tags for markup
    assert page.data()[0][0]["data"][0]["name"] == "&lt;script&gt;alert(1)&lt;!--"


def test_a_run_cut_short_says_what_is_missing(copied, report):
    folder = copied("few-label")
    for name in ("metrics.json", "metrics.csv", "commands.json", "latents.npz"):
        (folder / name).unlink()
    shutil.rmtree(folder / "pictures")
    shutil.rmtree(folder / "checkpoints")
    page = report(folder)
    for words in (
        "metrics.json: not there: the training has not ended.",
        "metrics.csv: not there: no epoch has ended.",
        "commands.json: not there",
        "latents.npz: not there",
        "pictures: none are there",
        "checkpoints: no trained model is there",
    ):
        assert words in page.text
    assert "train.epochs" in page.text


def test_damaged_files_are_missing_ones(copied, report):
    folder = copied("few-label")
    (folder / "config.json").write_bytes(b"\xff\xfe{")
    (folder / "metrics.json").write_text('{"f1": NaN, "mse": Infinity, "loss": [1], "seconds": 2, "word": "<i>"}')
    (folder / "metrics.csv").write_bytes(b"epoch,loss\n0,\xff\n")
    (folder / "commands.json").write_text("{")
    (folder / "pictures" / "losses.png").write_text("no picture")
    (folder / "pictures" / "latents.png").write_bytes((folder / "pictures" / "latents.png").read_bytes()[:900])
    page = report(folder)
    for words in ("config.json: cannot be used", "metrics.csv: cannot be used", "pictures/losses.png: cannot be shown"):
        assert words in page.text
    assert "pictures/latents.png: cannot be shown" in page.text
    assert "f1 nan" in page.text


def test_a_line_that_was_cut_is_left_out(copied, report):
    folder = copied("ae-2d")
    (folder / "metrics.csv").write_text("epoch,loss\n0,300\n1,200\n2,1")  # of 150
    page = report(folder)
    assert page.data()[0][0]["data"][0]["y"] == [300, 200]
    assert "metrics.csv: the last line is cut short and left out." in page.text


def test_files_beyond_all_measure_are_not_read(copied, report):
    folder = copied("ae-2d")
    for name in ("metrics.csv", "commands.json", "pictures/latents.png"):
        os.truncate(folder / name, 3_000_000_000)
    text = report(folder).text
    for name in ("metrics.csv", "commands.json"):
        assert f"{name}: cannot be used. {folder / name}: expected a file of at most 16,000,000 bytes" in text
    assert "pictures/latents.png: cannot be shown" in text


def test_what_is_no_plain_file_is_not_waited_for(copied, report):
    folder = copied("ae-2d")
    names = ("commands.json", "metrics.csv", "metrics.json", "latents.npz", "checkpoints/model.pth", "config.json")
    for count, name in enumerate(names, 1):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        # without a configuration neither latents nor weights are looked for
        expected = count if name != "config.json" else count - 2
        assert report(folder).text.count("expected a regular file, got a pipe") == expected


def test_numbers_and_words_that_are_hardly_any(copied, tmp_path):
    folder = copied("ae-2d", "n\udcff" + "n" * 200)
    (folder / "metrics.json").write_text('{"large": 1' + 400 * "0" + ', "\\ud800": "\\ud800", "loss": 1e999}')
    page = Page(write_report([folder], tmp_path / "a.html"))
    assert "large 10,000,000" in page.text
    assert "loss inf" in page.text
    assert "n?nnn" in page.text


@pytest.mark.parametrize("hostile", ["pickle", "cut", "text", "shapes", "bomb"])
def test_latents_of_another_kind_are_refused(copied, report, hostile):
    folder = copied("few-label")
    path = latents_path(folder)
    if hostile == "pickle":
        np.savez(path, z=np.array([{"a": 1}], dtype=object), images=np.zeros((1, 1, 2, 2), np.uint8))
    elif hostile == "cut":
        path.write_bytes(path.read_bytes()[:2000])
    elif hostile == "text":
        path.write_text("latents")
    elif hostile == "shapes":
        np.savez(path, z=np.zeros((3, 2), np.float32), images=np.zeros((2, 1, 2, 2), np.uint8))
    else:
        np.savez_compressed(path, z=np.zeros((70_000_000, 1), np.uint8), images=np.zeros(1))
    page = report(folder)
    assert "latents.npz: cannot be used" in page.text
    assert page.data()[1]["explorer"]["plane"]["low"] == [-3, -3]


def test_a_checkpoint_that_holds_code_is_not_opened(copied, report):
    folder = copied("ae-2d")
    torch.save(nn.Linear(2, 2), folder / "checkpoints" / "model.pth")
    assert "names code" in report(folder).text


def test_what_is_no_run_is_an_error(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for folder, words in (
        (tmp_path / "none", "expected a run folder, found none"),
        (tmp_path / "empty", "config.json"),
    ):
        assert main(["report", str(folder), "--out", str(tmp_path / "a.html")]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def test_one_run_given_twice_is_an_error(made, tmp_path, capsys):
    folder = made["ae-2d"].folder
    assert main(["report", str(folder), f"{folder}/../ae-2d", "--out", str(tmp_path / "a.html")]) == 1
    assert capsys.readouterr().err == f"error: RUN: expected run folders that differ, got {folder}/../ae-2d twice\n"


def test_no_file_of_a_run_is_replaced_by_a_page(copied, capsys):
    folder = copied("ae-2d")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in ("config.json", "metrics.csv", "pictures", "."):
        assert main(["report", str(folder), "--out", str(folder / name)]) == 1
        assert "expected a file to write that is named .html" in capsys.readouterr().err
    (folder / "a.html").mkdir()
    assert main(["report", str(folder), "--out", str(folder / "a.html")]) == 1
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_configuration_beyond_all_depth_is_a_damaged_one(copied, report):
    folder = copied("ae-2d")
    (folder / "config.json").write_text('{"a":' * 900 + "1" + "}" * 900)
    assert "config.json: cannot be used" in report(folder).text


def test_a_link_among_the_pictures_is_not_followed(copied, report, tmp_path):
    folder = copied("ae-2d")
    Image.new("L", (5, 5)).save(tmp_path / "private.png")
    (folder / "pictures" / "own.png").symlink_to(tmp_path / "private.png")
    (folder / "metrics.json").unlink()
    (folder / "metrics.json").symlink_to(tmp_path / "private.json")
    (tmp_path / "private.json").write_text('{"loss": 12345}')
    (folder / "commands.json").unlink()
    (folder / "commands.json").symlink_to("commands.json")  # round in a circle
    text = report(folder).text
    assert "own.png" not in text
    assert "12,345" not in text
    assert "got a link that leads out of it" in text
    assert "commands.json: cannot be used" in text
    shutil.move(folder / "pictures", tmp_path / "elsewhere")
    (folder / "pictures").symlink_to(tmp_path / "elsewhere")
    page = report(folder)
    assert not page.all("img")
    assert "pictures: a link, which is not followed." in page.text
