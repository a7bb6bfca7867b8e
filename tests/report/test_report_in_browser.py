"""The report in Chromium: no error, what the explorer draws, keys and fingers, dark, phone and paper.

Pictures of the pages are left in build/report, to be looked at.
"""

import base64
import json

import numpy as np
import pytest
import torch
from chromium import SHOTS, Browser, WebDriverWait
from torch import nn

from latentcore.models import VAE, ConvConfig, LatentConfig, MLPConfig, ResidualConfig, VAEConfig, build_operator
from latentcore.models.networks import ACTIVATIONS
from latentcore.plots.style import PALETTE
from latentcore.report.explorer import _operator
from latentcore.report.network import layers_of
from latentcore.report.writing import write_report

# of the explorer's picture, to torch's
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.driver.quit()


@pytest.fixture(scope="module")
def pages(made, once):
    """The page of all runs, and that of each, by name."""
    runs = {name: [run.folder] for name, run in made.items()}
    runs["all"] = [run.folder for run in made.values()]

    def write(folder):
        for name, folders in runs.items():
            write_report(folders, folder / f"{name}.html")

    folder = once("report-pages", write)
    return {name: folder / f"{name}.html" for name in runs}


@pytest.fixture(autouse=True)
def no_errors(browser):
    """Nothing that a test does leaves an error or a warning in the console."""
    yield
    assert not browser.errors()


def drawn_alike(run, state):
    expected = run.decode(state["z"]).flatten().numpy()
    return np.abs(state["image"] - expected).max() < TOLERANCE


def test_every_plot_is_drawn(browser, pages):
    browser.open(pages["all"])
    assert browser.run("return document.querySelectorAll('.plot').length") >= 6
    assert browser.run("return [...document.querySelectorAll('.plot')].every(p => p.querySelector('.main-svg'))")
    assert browser.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    browser.shot("light")


@pytest.mark.long
def test_no_button_of_a_plot_sends_it_anywhere(browser, pages):
    browser.open(pages["ae-2d"])
    titles = "return [...document.querySelector('.latents').querySelectorAll('.modebar-btn')].map(b => b.dataset.title)"
    kept = {"Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}
    assert set(browser.run(titles)) == kept


@pytest.mark.long
def test_colours_are_those_of_the_pictures_as_the_page_can_show_them(browser, pages):
    browser.open(pages["all"])
    assert browser.run("return PALETTE") == list(PALETTE)
    drawn = "return [...document.querySelectorAll('.latents')].at(-1).querySelector('.point').style.fill"
    light = browser.run(drawn)
    shades = browser.run("return PALETTE.map(shade)")
    assert len(set(shades)) == len(PALETTE)
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    browser.settled()
    assert browser.run("return PALETTE.map(shade)") != shades
    assert browser.run(drawn) != light


@pytest.mark.long
def test_hostile_and_long_names_change_nothing_of_a_page(browser, copied, tmp_path):
    name = "${1}{{ 2 }}'\"<img src=x onerror=alert(1)>"
    long = copied("few-label", "n" * 250)
    folder = copied("few-label", name)
    (folder / "metrics.csv").write_text(f"epoch,{name},{'c' * 300}\n0,1,1\n1,2,2\n")
    (folder / "metrics.json").write_text(json.dumps({name: name, "loss": float("nan"), "w" * 300: "v" * 300}))
    (folder / "commands.json").write_text(json.dumps([{"command": "x" * 500, "environment": {"e" * 300: "f" * 300}}]))
    page = write_report([folder, long], tmp_path / "hostile.html")
    browser.open(page, width=390, height=844, phone=True)
    assert browser.run("return document.documentElement.scrollWidth") == 390
    assert name in browser.driver.find_element("css selector", "h1").text
    assert not browser.run("return document.querySelectorAll('img[src=x]').length")
    browser.shot("hostile")


@pytest.mark.parametrize("name", ["few-label", "ae-2d", "gan"])
def test_the_explorer_draws_what_torch_decodes(browser, pages, made, name):
    browser.open(pages[name])
    handle = browser.driver.find_element("css selector", ".handle")
    browser.run("arguments[0].focus()", handle)
    states = [browser.state("plane")]
    for key, shift in (("ArrowRight", False), ("ArrowUp", True), ("ArrowLeft", True), ("ArrowDown", False)):
        browser.key(key, shift=shift)
        states.append(browser.state("plane"))
    assert all(drawn_alike(made[name], state) for state in states)
    assert name == "gan" or max(state["image"].max() for state in states) > 0.5
    steps = np.diff([state["at"] for state in states], axis=0)
    assert (np.sign(steps) == [[1, 0], [0, 1], [-1, 0], [0, -1]]).all()
    assert steps[1, 1] > 4 * -steps[3, 1]
    assert browser.run("return document.activeElement === arguments[0]", handle)
    assert browser.run("return getComputedStyle(arguments[0]).outlineStyle", handle) == "solid"
    words = handle.get_attribute("aria-valuetext")
    assert words.startswith(", ".join(f"{value:.3f}" for value in states[-1]["at"]))


def test_the_mixture_says_the_classes_of_a_point(browser, pages, made):
    run = made["few-label"]
    browser.open(pages["few-label"])
    state = browser.state("plane")
    assert np.allclose(state["mixture"]["classes"], run.mixture.predict_label_proba(state["z"].numpy())[0], atol=1e-4)
    assert abs(state["mixture"]["logLikelihood"] - run.mixture.score_samples(state["z"].numpy())[0]) < 1e-3
    bars = browser.run("return [...document.querySelectorAll('.bar')].map(bar => bar.textContent)")
    assert [bar[:1] for bar in bars] == ["1", "4", "8"]


def test_a_mouse_drags_the_point(browser, pages, made):
    browser.open(pages["few-label"])
    x, y, side = place_of(browser, ".plane")
    for kind, across, up in (("mousePressed", 0.2, 0.3), ("mouseMoved", 0.5, 0.5), ("mouseReleased", 0.75, 0.25)):
        where = {"x": x + across * side, "y": y + (1 - up) * side}
        if kind == "mouseReleased":
            browser.command("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **where)
        browser.command("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **where)
    browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x + 5, y=y + 5)  # let go: nothing moves
    browser.settled()
    assert_at(browser, 0.75, 0.25)
    assert drawn_alike(made["few-label"], browser.state("plane"))


def test_a_finger_drags_the_point_on_a_phone(browser, pages):
    browser.open(pages["few-label"], width=390, height=844, phone=True)
    x, y, side = place_of(browser, ".plane")
    for kind, across, up in (("touchStart", 0.2, 0.3), ("touchMove", 0.5, 0.5), ("touchMove", 0.7, 0.8)):
        browser.command(
            "Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x + across * side, "y": y + (1 - up) * side}]
        )
    browser.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.settled()
    assert_at(browser, 0.7, 0.8)


def test_a_finger_on_a_plot_moves_the_page(browser, pages):
    browser.open(pages["few-label"], width=390, height=844, phone=True)
    x, y, side = place_of(browser, ".latents .nsewdrag")
    before = browser.run("return scrollY")
    for kind, up in (("touchStart", 0), ("touchMove", 30), ("touchMove", 80), ("touchMove", 150)):
        browser.command("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x + side / 2, "y": y + 60 - up}])
    browser.command("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.settled()
    assert browser.run("return scrollY") > before + 60


def test_an_angle_turns_a_digit_in_latent_space(browser, pages, made):
    run = made["rotation"]
    browser.open(pages["rotation"])
    buttons = browser.driver.find_elements("css selector", ".digits button")
    assert [button.get_attribute("aria-label") for button in buttons] == ["1", "2"]
    buttons[1].click()
    upright = browser.state("turn")
    slider = browser.driver.find_element("css selector", "input[type=range]")
    browser.run("arguments[0].focus(); arguments[0].value = 70", slider)
    browser.key("ArrowRight")
    turned = browser.state("turn")
    assert browser.run("return arguments[0].value", slider) == "71"
    assert torch.allclose(turned["z"], run.transform(upright["z"], 71.0), atol=1e-3)
    assert drawn_alike(run, turned)
    assert slider.get_attribute("aria-valuetext") == "71 degrees"
    # the same way round as the pixels beside it, which turn to the left
    assert "rotate(-71deg)" in browser.driver.find_element("css selector", ".pixels").get_attribute("style")
    browser.shot("turned")


def test_the_image_of_a_point_stands_beside_it(browser, pages):
    browser.open(pages["ae-2d"])
    x, y, side = place_of(browser, ".latents .point")
    for across in (-3, 0):
        browser.command("Input.dispatchMouseEvent", type="mouseMoved", x=x + side / 2 + across, y=y + side / 2)
    shown = "const c = document.querySelector('.hovered'); return !c.hidden && c.getBoundingClientRect().width > 50"
    WebDriverWait(browser.driver, 120).until(lambda _: browser.run(shown))
    brightest = browser.run(
        "const c = document.querySelector('.hovered');"
        "const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "return Math.max(...pixels.data.filter((_, place) => place % 4 < 3))"
    )
    assert brightest > 100


def test_dark_pages_have_light_words_also_in_plots(browser, pages):
    browser.open(pages["few-label"], dark=True)
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    ink = "return getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    assert browser.run(ink) == "rgb(230, 233, 236)"
    browser.shot("dark")
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    browser.settled()
    assert browser.run(ink) == "rgb(28, 33, 39)"


@pytest.mark.long
def test_nothing_is_wider_than_a_phone(browser, pages):
    browser.open(pages["all"], width=360, height=740, phone=True)
    assert browser.run("return document.documentElement.scrollWidth") == 360
    assert browser.run("return [...document.querySelectorAll('.plot, img, canvas')].every(e => e.clientWidth <= 360)")
    browser.shot("phone")


@pytest.mark.long
def test_paper_is_light_open_and_wide_enough(browser, pages):
    browser.open(pages["all"], dark=True)
    browser.run(
        "addEventListener('beforeprint', () => { window.onPaperWere = ["
        "Math.max(...[...document.querySelectorAll('.plot .main-svg')].map(s => s.clientWidth)),"
        "[...document.querySelectorAll('details')].every(d => d.open),"
        "getComputedStyle(document.querySelector('.plot .xtick text')).fill] })"
    )
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
    printed = base64.b64decode(browser.command("Page.printToPDF", **paper)["data"])
    width, opened, ink = browser.run("return window.onPaperWere")
    assert width <= 680  # pixels between the margins of A4
    assert opened
    assert ink == "rgb(28, 33, 39)"
    assert not browser.run("return [...document.querySelectorAll('details')].some(d => d.open)")
    SHOTS.mkdir(parents=True, exist_ok=True)
    (SHOTS / "paper.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF")


@pytest.mark.parametrize(
    "options",
    [
        {"network": MLPConfig(decoder_hidden=(16, 32), normalisation="batch")},
        {"network": ConvConfig(channels=(3, 5), decoder_hidden=(16,), normalisation="batch")},
        {"image_shape": (3, 8, 12), "network": ResidualConfig(channels=(3, 5), decoder_hidden=(16,))},
        {"classes": 4, "network": MLPConfig(decoder_hidden=(16,))},
        *({"network": MLPConfig(decoder_hidden=(16,), activation=name)} for name in ACTIVATIONS),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_layers_are_torchs(browser, pages, options):
    model = with_statistics(VAE(VAEConfig(latent=3, **options)))
    z, label = torch.randn(1, 3), torch.tensor([2])
    with torch.no_grad():
        expected = model.decode(z, label if model.config.classes else None).flatten().numpy()
    found = run_in_page(
        browser,
        pages,
        "decoder({decoder: given.layers, classes: given.classes})(given.z, 2)",
        {"layers": layers_of(model.decoder), "classes": model.config.classes, "z": z[0].tolist()},
    )
    assert np.abs(expected - 0.5).max() > 0.1
    assert np.abs(np.array(found) - expected).max() < TOLERANCE


@pytest.mark.parametrize(
    ("latent", "config"),
    [
        (7, LatentConfig(model="equivariant")),
        (6, LatentConfig(model="equivariant", couplings=2, hidden=(16,), activation="silu")),
        (5, LatentConfig(model="equivariant", couplings=1, hidden=(16,))),
        (4, LatentConfig(model="mlp", hidden=(16, 16))),
        (4, LatentConfig(model="step", hidden=(16,))),
    ],
)
def test_operators_are_torchs(browser, pages, latent, config):
    operator = build_operator(config, latent).eval()
    for parameter in operator.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    z, angles = torch.randn(1, latent), [0.0, 30.0, -90.0, 450.0]
    told = torch.tensor([[angle, 1.0, 0.0, 0.0] for angle in angles])
    with torch.no_grad():
        expected = operator(z.expand(len(angles), -1), told)
    found = run_in_page(
        browser,
        pages,
        "given.angles.map((angle) => operators[given.turn.kind](given.turn)(given.z, angle))",
        {"turn": _operator(operator), "z": z[0].tolist(), "angles": angles},
    )
    assert torch.allclose(torch.tensor(found), expected, atol=2e-3, rtol=1e-3)


def run_in_page(browser, pages, expression, given):
    """The value of an expression of the page's script, as lists."""
    if "few-label.html" not in browser.driver.current_url:
        browser.open(pages["few-label"])
    plain = "(value) => value.map((inner) => (typeof inner === 'number' ? inner : Array.from(inner)))"
    script = f"const given = JSON.parse(arguments[0]); return ({plain})(Array.from({expression}))"
    return browser.run(script, json.dumps(given))


def with_statistics(model):
    """The model as after a training: its normalisation has seen something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias)
    for parameter in model.decoder.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def place_of(browser, selector):
    """Left, top and side of an element, after it was brought into view."""
    return browser.run(
        "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
        "const {left, top, width} = e.getBoundingClientRect(); return [left, top, width]",
        selector,
    )


def assert_at(browser, across, up):
    """The point is where it was let go, in shares of the plane."""
    plane = browser.run("return JSON.parse(document.querySelector('.run-data').textContent).explorer.plane")
    low, high = np.array(plane["low"]), np.array(plane["high"])
    assert np.allclose((np.array(browser.state("plane")["at"]) - low) / (high - low), [across, up], atol=0.01)
