"""Photographs of 12 bits in 16-bit files, from the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from latentcore._files import write_json
from latentcore.cli import main
from latentcore.models import SharpConfig
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.training import TrainConfig


def test_what_is_learned_and_what_is_judged_have_one_white(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(20):
        # every tenth is kept back to judge by, and is so dark that alone it would have fewer bits
        most = 900 if number in (5, 15) else 4000
        Image.fromarray(random.integers(0, most, (16, 16), dtype=np.uint16)).save(tmp_path / f"in/{number:02}.png")
    config = PhotographsConfig(
        vae=SharpConfig(image_shape=(1, 16, 16), latent=4, channels=(4, 8), refinements=1),
        train=TrainConfig(epochs=1, batch_size=9, beta=0.01, augmentation=TrainConfig().augmentation),
    )
    write_json(tmp_path / "small.json", config.to_dict())
    words = (
        "train",
        "photographs",
        tmp_path / "in",
        "--config",
        tmp_path / "small.json",
        "--run-dir",
        tmp_path / "run",
    )
    with pytest.warns(UserWarning, match="20 images with 16-bit values up to 39.. are taken as of 12 bits"):
        assert main([str(word) for word in words]) == 0
    assert json.loads((tmp_path / "run/held_out.json").read_text())["white"] == 4095
    with np.load(tmp_path / "run/latents.npz") as found:
        assert 40 <= found["images"].max() <= 60  # of 255: 900 of 4095
    before = (tmp_path / "run/metrics.json").read_text()
    assert main(["evaluate", str(tmp_path / "run")]) == 0  # without a warning: the run knows
    assert (tmp_path / "run/metrics.json").read_text() == before
