"""Run folders from outside: what opens or shows them says what is wrong, follows no link and waits for nothing."""

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from latentcore import load_run
from latentcore.evaluate.latents import latents_path
from latentcore.report import page as page_module
from latentcore.report.explorer import explorer
from latentcore.report.network import UnsupportedError


@pytest.mark.long
def test_a_checkpoint_in_a_pipe_or_elsewhere_leaves_the_rest_of_a_report(copied, report, tmp_path):
    folder = copied("few-label")
    model = folder / "checkpoints" / "model.pth"
    model.rename(tmp_path / "model.pth")
    os.mkfifo(model)
    page = report(folder)
    assert "model.pth: expected a regular file, got a pipe" in page.text
    assert page.data()[1]["scatter"]
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").symlink_to(tmp_path)
    page = report(folder)
    assert "got a link that leads out of it" in page.text
    assert "f1" in page.text
    assert page.data()[1]["explorer"] is None


def test_a_mixture_elsewhere_is_not_followed(copied, tmp_path):
    folder = copied("few-label")
    mixture = next((folder / "checkpoints").glob("mixture*"))
    mixture.rename(tmp_path / "mixture")
    mixture.symlink_to(tmp_path / "mixture")
    with pytest.raises(ValueError, match="got a link that leads out of it"):
        load_run(folder)
    mixture.unlink()
    os.mkfifo(mixture)
    with pytest.raises(ValueError, match="expected a regular file, got a pipe"):
        load_run(folder)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64, torch.int32])
def test_weights_of_another_kind_leave_the_rest_of_a_report(copied, report, dtype):
    folder = copied("ae-2d")
    model = folder / "checkpoints" / "model.pth"
    state = torch.load(model, weights_only=True)
    state["decoder.0.weight"] = state["decoder.0.weight"].to(dtype)
    torch.save(state, model)
    page = report(folder)
    assert "checkpoints: cannot be used." in page.text
    assert f"{model}: " in page.text
    assert "decoder.0.weight: expected" in page.text
    assert page.data()[1]["scatter"]


def test_very_many_columns_and_rows_are_some_of_them(copied, report):
    folder = copied("ae-2d")
    columns = ",".join(f"c{place}" for place in range(20_000))
    (folder / "metrics.csv").write_text(f"epoch,{columns}\n" + f"0{',1' * 20_000}\n" * 9)
    page = report(folder)
    assert "metrics.csv: 20,001 columns are there, of which the page has 60." in page.text
    assert len(page.data()[0]) == 59  # the first is the epoch
    (folder / "metrics.csv").write_text("epoch,loss\n" + "".join(f"{row},{row + 1}\n" for row in range(50_000)))
    page = report(folder)
    assert "metrics.csv: more than 20,000 rows are there, of which the page has the first." in page.text
    line = page.data()[0][0]["data"][0]
    assert (line["y"][0], line["y"][-1], len(line["y"])) == (1, 20_000, 1000)


def test_words_and_figures_beyond_all_measure_are_some_of_them(copied, report):
    folder = copied("ae-2d")
    config = json.loads((folder / "config.json").read_text())
    config["source"] = {f"file {place}": "x" * 5000 for place in range(1500)}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps({f"f{place}": place for place in range(50_000)} | {"w" * 9000: 1}))
    first = {"command": "x" * 5000, "environment": {str(key): "y" * 5000 for key in range(500)}}
    (folder / "commands.json").write_text(json.dumps([first, *[{"command": "x" * 5000}] * 499]))
    for place in range(30):
        (folder / "pictures" / f"{place}.csv").write_text("a," * 200 + "\n" + "1," * 200 + "\n")
    page = report(folder)
    text = page.text
    for words in (
        "metrics.json: 50,001 figures are there, of which the page has 300.",
        "commands.json: 500 commands are there, of which the page has 50.",
        "config.json: there are more than 500 fields, of which the page has the first.",
        "pictures: 30 tables are there, of which the page has 20.",
    ):
        assert words in text
    assert len(text) < 2_000_000
    assert page.data()[1]["explorer"]


@pytest.mark.parametrize(
    ("count", "side", "axes", "classes"), [(3000, 2, 2, 2), (9, 40, 2, 2), (9, 2, 3000, 2), (300, 2, 2, 300)]
)
def test_more_latents_than_an_evaluation_writes_are_not_shown(copied, report, count, side, axes, classes):
    folder = copied("ae-2d")
    images, labels = np.zeros((count, 1, side, side), np.uint8), np.arange(count) % classes
    np.savez(latents_path(folder), z=np.zeros((count, axes), np.float32), images=images, labels=labels)
    assert "latents.npz: cannot be used." in report(folder).text


def test_pictures_have_a_budget(copied, report, monkeypatch):
    monkeypatch.setattr(page_module, "_MOST_PIXELS", 50_000)
    folder = copied("gan")
    for name in ("a", "b", "c"):
        Image.new("L", (150, 150)).save(folder / "pictures" / f"{name}.png")
    text = report(folder).text
    assert text.count("pixels, got (150, 150) in 1 frames") >= 1


@pytest.mark.parametrize(("field", "value"), [("latent", 3000), ("classes", 2000), ("image_shape", (1, 4096, 4096))])
def test_an_explorer_has_sizes_that_a_page_can_draw(field, value):
    sizes = {"latent": 2, "classes": 0, "image_shape": (1, 8, 8), field: value}
    run = SimpleNamespace(model=SimpleNamespace(decoder=nn.Sequential(), config=SimpleNamespace(**sizes)))
    with pytest.raises(UnsupportedError, match="more than the"):
        explorer(run, None)
