"""The report without a browser: what stands in the page, and what it does not fall for."""

import base64
import io
import json
import os
import re
import shutil
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from latentcore import GaussianMixture
from latentcore.cli import main
from latentcore.evaluate.latents import latents_path, read_latents, write_latents
from latentcore.models import VAE, VAEConfig
from latentcore.models.residual import Refine
from latentcore.report import folder as report_folder
from latentcore.report import page as report_page
from latentcore.report.explorer import explorer, full_factors
from latentcore.report.network import UnsupportedError, layers_of
from latentcore.report.page import number, write_report
from latentcore.report.pictures import picture, sprite
from latentcore.train.provenance import commands_of, note_command


class Page(HTMLParser):
    """The elements of a page, its visible words, and its scripts."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.words, self.scripts, self._inside = [], [], [], None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data.strip())

    @property
    def text(self):
        return " ".join(filter(None, self.words))

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    def data(self):
        found = [script for (attributes, script) in zip(self.all("script"), self.scripts, strict=True) if attributes]
        *runs, curves = [json.loads(script) for script in found]
        return curves, *runs


@pytest.fixture
def report(tmp_path):
    return lambda *runs: Page(write_report(runs, tmp_path / "report.html"))


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


def test_a_damaged_configuration_leaves_the_figures_of_any_system(copied, report):
    folder = copied("gan")
    (folder / "config.json").write_text("{")
    (folder / "metrics.json").write_text('{"seconds": 1, "frechet": 2.25}')
    text = report(folder).text
    assert "gan unknown" in text
    assert "Figures frechet 2.25 seconds 1 " in text
    assert "checkpoints: not opened" in text


def test_lines_of_curves_are_named_once(made, copied, report):
    assert "validation" not in report(made["ae-2d"].folder).text
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
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_a_page_of_a_plain_decoder_stays_below_8_mb(made, tmp_path):
    assert len(read_latents(latents_path(made["ae-2d"].folder)).z) == 2000
    assert write_report([made["ae-2d"].folder], tmp_path / "a.html").stat().st_size < 8_000_000


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
    for name in ("config.json", "metrics.csv"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert report(folder).text.count("bytes, got something else") == 2


def test_numbers_and_words_that_are_hardly_any(copied, tmp_path):
    folder = copied("ae-2d", "n\udcff" + "n" * 200)
    (folder / "metrics.json").write_text('{"large": 1' + 400 * "0" + ', "\\ud800": "\\ud800", "loss": 1e999}')
    page = Page(write_report([folder], tmp_path / "a.html"))
    assert "large 10,000,000" in page.text
    assert "loss inf" in page.text
    assert "n?nnn" in page.text


def test_many_pictures_are_some_of_them(copied, report, monkeypatch):
    monkeypatch.setattr(report_folder, "_MOST_PICTURES", 2)
    page = report(copied("ae-2d"))
    assert len(page.all("img")) == 2
    assert re.search(r"pictures: \d are there, of which the page has 2\.", page.text)


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


def test_layers_that_a_page_cannot_evaluate():
    for layers, words in (
        ([nn.Linear(2, 2), nn.Softplus()], "Softplus"),
        ([nn.GELU(approximate="tanh")], "GELU"),
        ([nn.Conv2d(2, 2, 3, groups=2)], "groups"),
        ([nn.Conv2d(2, 2, (3, 1))], "not square"),
        ([nn.BatchNorm1d(2, track_running_stats=False)], "over the batch"),
        ([nn.Linear(2000, 1000)], "2,001,000 weights"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            layers_of(nn.Sequential(*layers))
    broken = nn.Linear(2, 2)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(UnsupportedError, match="no finite"):
        layers_of(nn.Sequential(broken))
    assert layers_of(nn.Sequential(Refine(2, nn.ReLU)))[0]["layers"][0]["kind"] == "scale"


@pytest.mark.parametrize(("latent", "reach"), [(2, 3.0), (64, 1.3 * 8)])
def test_without_latents_the_plane_is_one_of_the_prior(latent, reach):
    model = VAE(VAEConfig(latent=latent, hidden=(8,), decoder_hidden=(8,)))
    plane = explorer(SimpleNamespace(model=model), None)["plane"]
    assert plane["high"] == pytest.approx([reach, reach])
    assert np.hypot(*plane["start"]) == pytest.approx(0 if latent == 2 else 8)
    axes = np.frombuffer(base64.b64decode(plane["axes"]), "<f4").reshape(2, latent)
    assert np.allclose(axes @ axes.T, np.eye(2), atol=1e-6)
    assert explorer(SimpleNamespace(model=VAE(VAEConfig(latent=1, hidden=(8,)))), None)["plane"] is None


def test_a_decoder_beyond_the_page_is_left_out_with_a_line(made, report):
    page = report(made["photographs"].folder)
    assert "latent explorer: left out, for the page does not evaluate the decoder of a SharpVAE." in page.text
    assert page.data()[1]["explorer"] is None


def test_a_gan_is_walked_through_around_its_prior(made, report):
    plane = report(made["gan"].folder).data()[1]["explorer"]["plane"]
    assert plane["rings"] == pytest.approx([8**0.5])
    assert "as far from it as the ring" in plane["about"]


def test_a_run_without_a_decoder_has_no_explorer():
    with pytest.raises(UnsupportedError, match="no decoder"):
        explorer(object(), None)


def test_latents_of_another_model_are_not_walked_over(copied, report):
    folder = copied("ae-2d")
    write_latents(folder, torch.rand(5, 1, 28, 28), torch.rand(5, 3))
    page = report(folder)
    assert "latent explorer: left out, for the latents in latents.npz are not this model's" in page.text
    assert page.data()[1]["explorer"] is None


def test_a_configuration_beyond_all_depth_is_a_damaged_one(copied, report):
    folder = copied("ae-2d")
    (folder / "config.json").write_text('{"a":' * 900 + "1" + "}" * 900)
    assert "config.json: cannot be used" in report(folder).text


def test_an_operator_beyond_the_page_is_left_out_with_a_line(made, report, monkeypatch):
    monkeypatch.setattr(report_page, "explorer", lambda run, latents: {**explorer(run, latents), "turn": "It cannot."})
    page = report(made["rotation"].folder)
    assert "turning digits: left out. It cannot." in page.text
    assert not [attributes for attributes in page.all("div") if attributes.get("data-kind") == "turn"]


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_factors_of_all_covariances_are_matrices(kind):
    mixture = GaussianMixture(2, covariance_type=kind, random_state=0).fit(torch.randn(50, 3).numpy())
    factors = full_factors(mixture)
    covariances = np.linalg.inv(factors @ factors.transpose(0, 2, 1))
    expected = {
        "full": lambda c: c,
        "tied": lambda c: np.broadcast_to(c, (2, 3, 3)),
        "diag": lambda c: np.stack([np.diag(row) for row in c]),
        "spherical": lambda c: np.stack([np.eye(3) * value for value in c]),
    }[kind](np.asarray(mixture.covariances_))
    assert np.allclose(covariances, expected, rtol=1e-4, atol=1e-6)


def test_pictures_are_made_small_and_stay_what_they_are(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "samples.png")
    found = picture(tmp_path / "samples.png")
    assert found.words == "Images decoded from samples of the prior"
    assert (found.width, found.height) == (1600, 900)
    assert len(found.uri) < 0.8 * (tmp_path / "samples.png").stat().st_size
    frames = [Image.fromarray(noise[:300, i * 300 : (i + 1) * 300]) for i in range(4)]
    frames[0].save(tmp_path / "a_film.gif", save_all=True, append_images=frames[1:], duration=70)
    film = picture(tmp_path / "a_film.gif")
    assert film.words == "A film"
    assert film.uri.startswith("data:image/webp;base64,")
    with Image.open(io.BytesIO(_content(film.uri))) as again:
        assert again.n_frames == 4
    Image.fromarray(noise[:50, :50]).save(tmp_path / "small.png")
    assert _content(picture(tmp_path / "small.png").uri) == (tmp_path / "small.png").read_bytes()


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="pixels"):
        picture(tmp_path / "a.png")


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


def test_small_images_stand_where_the_page_looks_for_them(tmp_path):
    images = torch.rand(7, 3, 40, 80)
    path = write_latents(tmp_path, images, torch.zeros(7, 2), torch.arange(7))
    found = read_latents(path)
    assert found.images.shape == (7, 3, 16, 32)
    assert found.labels.tolist() == list(range(7))
    made = sprite(found)
    with Image.open(io.BytesIO(_content(made.uri))) as sheet:
        whole = np.asarray(sheet.convert("RGB")).astype(float)
    x, y = 32 * (5 % made.columns), 16 * (5 // made.columns)
    tile = whole[y : y + 16, x : x + 32].transpose(2, 0, 1)
    assert np.abs(tile.mean((1, 2)) - found.images[5].mean((1, 2))).max() < 6


def test_latents_of_large_images_are_fewer(tmp_path):
    write_latents(tmp_path, torch.zeros(1500, 3, 64, 64, dtype=torch.uint8), torch.zeros(1500, 4))
    assert len(read_latents(latents_path(tmp_path)).z) == 651


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


def _content(uri):
    return base64.b64decode(uri.partition(",")[2])
