"""A headless Chromium; where there is none, the tests that import this are left out."""

import base64
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

selenium = pytest.importorskip("selenium.webdriver")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("no Chromium: `apt-get install chromium chromium-driver` brings it", allow_module_level=True)

SHOTS = Path(__file__).parents[2] / "build" / "report"


class Browser:
    """A headless Chromium, by what the tests want of it."""

    def __init__(self):
        options = selenium.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(word)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
        self.driver.set_script_timeout(120)

    def open(self, page, *, width=1200, height=900, phone=False, dark=False):
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        self.command("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.driver.get(Path(page).resolve().as_uri())
        self.driver.execute_async_script("drawn.then(arguments[arguments.length - 1])")

    def command(self, name, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def settled(self):
        """After two frames: what was asked for before is drawn."""
        done = "arguments[arguments.length - 1]"
        self.driver.execute_async_script(f"requestAnimationFrame(() => requestAnimationFrame({done}))")

    def key(self, key, *, shift=False):
        for kind in ("rawKeyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=8 if shift else 0)
        self.settled()

    def shot(self, name):
        width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 8000), "scale": 1}
        found = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        SHOTS.mkdir(parents=True, exist_ok=True)
        (SHOTS / f"{name}.png").write_bytes(base64.b64decode(found["data"]))

    def errors(self):
        return [entry for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def state(self, kind, place=0):
        """What an explorer shows: its latents, its picture, and its mixture's classes."""
        found = self.run(
            "const {z, image, mixture, at} = document.querySelectorAll(arguments[0])[arguments[1]].state;"
            "return {z: Array.from(z), image: Array.from(image), mixture: mixture || null, at: at || null}",
            f".explorer[data-kind={kind}]",
            place,
        )
        return {**found, "z": torch.tensor([found["z"]]), "image": np.array(found["image"])}
