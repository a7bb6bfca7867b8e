"""The report without a browser: what stands in the page."""

import base64
import hashlib
import json
import re

import torch
from PIL import Image

from latentcore.cli import main
from latentcore.data import mnist
from latentcore.evaluate.latents import latents_path, read_latents, write_latents
from latentcore.report import folder as report_folder
from latentcore.report.page import number
from latentcore.report.writing import write_report
from latentcore.training.provenance import commands_of, note_command


def test_a_page_shows_all_that_runs_have_side_by_side(made, report):
    page = report(made["few-label"].folder, made["ae-2d"].folder, made["rotation"].folder)
    for word in ("few-label", "ae-2d", "rotation", "f1 macro", "mixture.components", "Python", "Commands", "–"):
        assert word in page.text
    curves, *runs = page.data()
    # one plot for each term, all runs in it
    assert [trace["name"] for trace in curves[0]["data"]] == ["few-label", "ae-2d", "rotation"]
    assert [bool(run["explorer"] and run["explorer"]["plane"]) for run in runs] == [True, True, True]
    assert runs[0]["explorer"]["mixture"]["classes"] == [1, 4, 8]
    assert runs[2]["explorer"]["turn"]["names"] == [1, 2]
    pictures = page.all("img")
    folders = [made[name].folder / "pictures" for name in ("few-label", "ae-2d", "rotation")]
    drawn = [path for folder in folders for path in folder.glob("*.[pg][ni][gf]")]
    # the curves stand in the page
    assert len(pictures) == len([path for path in drawn if path.name != "losses.png"])
    assert all(len(image["alt"]) > 10 for image in pictures)
    assert page.text.count("pictures: none are there") == 1  # of the rotation


def test_what_a_system_is_judged_by_comes_first(made, copied, report):
    folder = copied("gan")
    figures = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps({**figures, "coverage_error": 1.5, "frechet": 2.25, "f1": 9}))
    page = report(made["ae-2d"].folder, folder)
    rows = [attributes for attributes in page.all("th") if attributes.get("scope") == "row"]
    assert rows
    assert "figure ae-2d gan frechet – 2.25 coverage error – 1.5 " in page.text
    tiles = page.text.split(" gan gan ", 1)[1]
    assert tiles.startswith("frechet 2.25 coverage error 1.5 loss ")


def test_lines_of_curves_are_named_once(made, copied, report):
    assert "validation loss" not in report(made["ae-2d"].folder).text
    folder = copied("ae-2d")
    (folder / "metrics.csv").write_text("epoch,loss,validation_loss,unused\n0,3,4,0\n1,1,2,0\n")
    page = report(folder, made["gan"].folder)
    assert "Curves ae-2d gan validation loss" in page.text
    traces = page.data()[0][0]["data"]
    assert [(trace["name"], trace["line"]["dash"]) for trace in traces] == [
        ("ae-2d", "solid"), ("ae-2d, validation", "dash"), ("gan", "solid")
    ]  # fmt: skip
    assert traces[1]["y"] == [4, 2]
    assert traces[1]["x"] == [1, 2]
    assert "Curve of unused" not in str(page.elements)


def test_pictures_of_all_systems_have_words_of_their_own(made, copied, report):
    words = {image["alt"] for image in report(made["photographs"].folder).all("img")}
    assert {f"{_PHOTOGRAPHS}, after 1 epoch", f"{_PHOTOGRAPHS}, after 3 epochs"} <= words
    assert any(word.startswith("The photographs of the highest anomaly scores") for word in words)
    assert not any("test images" in word or "class" in word for word in words)
    folder = copied("gan")
    assert "epochs/0002.png" in report(folder).text
    for name in ("beside", "nearest", "walk", "samples"):
        Image.new("L", (5, 5)).save(folder / "pictures" / f"{name}.png")
    Image.new("L", (5, 5)).save(folder / "pictures" / "epochs.gif")  # has all of them
    page = report(folder)
    assert "epochs/0002.png" not in page.text
    assert all(len(image["alt"].split()) > 4 for image in page.all("img"))


_PHOTOGRAPHS = "Photographs, below them what the model decodes from their latents, and samples of the prior"


def test_a_page_asks_nobody_for_anything(made, report):
    page = report(made["rotation"].folder)
    for _, attributes in page.elements:
        for name in ("src", "href", "action", "data", "srcset", "poster"):
            assert re.match(r"data:|#", attributes.get(name) or "#")
    policy = policy_of(page)
    assert policy["default-src"] == "'none'"
    assert not any("http" in sources for sources in policy.values())


def test_only_the_scripts_of_the_page_may_run(made, report):
    page = report(made["ae-2d"].folder)
    executed = [script for attributes, script in zip(page.all("script"), page.scripts, strict=True) if not attributes]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in executed]
    assert policy_of(page)["script-src"].split() == [f"'sha256-{word}'" for word in hashes]
    assert len(hashes) == 4


def policy_of(page):
    content = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    return dict(part.strip().split(" ", 1) for part in content.split(";"))


def test_a_page_of_a_plain_decoder_stays_below_8_mb(made, copied, tmp_path):
    folder, digits = copied("ae-2d"), mnist.embedded("train")
    write_latents(folder, digits.images, made["ae-2d"].encode(digits.images), digits.labels)
    assert len(read_latents(latents_path(folder)).z) == 2000  # as many images as a page shows
    assert write_report([folder], tmp_path / "a.html").stat().st_size < 8_000_000


def test_many_pictures_are_some_of_them(copied, report, monkeypatch):
    monkeypatch.setattr(report_folder, "_MOST_PICTURES", 2)
    page = report(copied("ae-2d"))
    assert len(page.all("img")) == 2
    assert re.search(r"pictures: \d files are there, of which the page has 2\.", page.text)


def test_the_command_says_where_the_page_is(made, tmp_path, capsys):
    page = tmp_path / "deep" / "a.html"
    assert main(["report", str(made["ae-2d"].folder), "--out", str(page)]) == 0
    assert capsys.readouterr().out.startswith(f"{page}: 1 run, ")
    assert page.exists()


def test_runs_of_the_same_name_are_told_apart(made, copied, report):
    one, other = copied("ae-2d", "a/run"), copied("ae-2d", "b/run")
    page = report(one, other)
    assert str(one) in page.text
    assert str(other) in page.text


def test_a_process_is_one_entry_among_the_commands(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/latentcore", "train", "a b"])
    note_command(tmp_path)
    note_command(tmp_path)
    monkeypatch.setattr("sys.argv", ["/somewhere/latentcore/cli.py", "evaluate"])
    note_command(tmp_path)
    entries = commands_of(tmp_path / "commands.json")
    assert [entry["command"] for entry in entries] == ["latentcore train 'a b'", "latentcore evaluate"]
    assert entries[0]["environment"]["torch"] == torch.__version__
    (tmp_path / "commands.json").write_text("[1, {}, {")
    note_command(tmp_path)
    assert len(commands_of(tmp_path / "commands.json")) == 1


def test_numbers_have_the_digits_that_matter():
    values = [None, 3, 12345, 0.123456, 1234.56, "a word", True, float("nan")]
    assert list(map(number, values)) == ["–", "3", "12,345", "0.1235", "1,235", "a word", "True", "nan"]
