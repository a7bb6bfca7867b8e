"""Photographs that scikit-image and scikit-learn ship, cut into patches, and a VAE of them beside PCA.

Ten colour photographs, each made at most some 500 pixels high: astronaut, cat, coffee, Hubble deep field,
immunohistochemistry, motorcycle, retina and rocket of scikit-image's wheel, china and flower of scikit-learn's. The
right quarter of each is held out; patches of 64x64 pixels are cut from either part, at its whole size, a half, a third
and a quarter, so that no pixel of a test patch is in a training patch at any scale. `photos_mse_ratio_pca` is the mean
squared error of decode(encode(x)) over the test patches, over that of scikit-learn's PCA (randomised) with as many
components as latents, fitted on 12,000 of the same training patches from all over (more hardly change its error).
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.decomposition import PCA
from torch import Tensor

import latentcore
from latentcore.data.convert import to_unit
from latentcore.systems.photographs.config import PRESETS
from latentcore.systems.photographs.evaluation import figures

SIDE, HEIGHT, SCALES, HELD_OUT = 64, 500, (1, 2, 3, 4), 0.25
TRAIN_STRIDE, TEST_STRIDE = 8, 16  # of pixels of the photograph, at every scale
_NAMES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
_FITTED = 12_000  # patches that PCA is fitted on: its copies of all of them would not fit into small memories


def photographs() -> Iterator[Image.Image]:
    """The ten, about 500 pixels high where they are larger."""
    folder = Path(skimage.__file__).parent / "data"
    shipped = [Image.open(folder / name).convert("RGB") for name in _NAMES]
    for image in [*shipped, *map(Image.fromarray, load_sample_images().images)]:
        yield image.reduce(max(1, round(min(image.size) / HEIGHT)))


def patches() -> tuple[Tensor, Tensor]:
    """Training and test patches, (N, 3, 64, 64), uint8."""
    train, test = [], []
    for image in photographs():
        cut = round(image.width * (1 - HELD_OUT))
        train.append(_cut(image.crop((0, 0, cut, image.height)), TRAIN_STRIDE))
        test.append(_cut(image.crop((cut, 0, image.width, image.height)), TEST_STRIDE))
    return torch.from_numpy(np.concatenate(train)), torch.from_numpy(np.concatenate(test))


def measured(folder: Path, seed: int) -> dict[str, float]:
    """Figures of the preset "patches" on the test patches, and the ratio to scikit-learn's PCA."""
    train, test = patches()
    config = PRESETS["patches"]
    seeded = replace(config, train=replace(config.train, seed=seed))
    run = latentcore.train("photographs", train, config=seeded, run_dir=folder / f"photographs-{seed}", test=test)
    pca = pca_mse(train, test, config.vae.latent)
    found: dict[str, float] = run.metrics | figures(run, test) | {"sklearn_pca_mse": pca}
    print(f"seed {seed}: {found}", flush=True)
    return found | {"photos_mse_ratio_pca": found["mse"] / pca}


def pca_mse(train: Tensor, test: Tensor, components: int) -> float:
    """Of scikit-learn's PCA, fitted on training patches from all over."""
    rows = torch.linspace(0, len(train) - 1, min(_FITTED, len(train)), dtype=torch.float64).long()
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(to_unit(train[rows]).flatten(1).numpy())
    flat = to_unit(test).flatten(1).numpy()
    return float(np.square(pca.inverse_transform(pca.transform(flat)) - flat, dtype=np.float64).mean())


def _cut(area: Image.Image, stride: int) -> np.ndarray:
    """The patches of an area, scale after scale. (N, 3, 64, 64)."""
    found = []
    for scale in SCALES:
        pixels = np.asarray(area.reduce(scale))
        if min(pixels.shape[:2]) >= SIDE:
            windows = np.lib.stride_tricks.sliding_window_view(pixels, (SIDE, SIDE), axis=(0, 1))
            step = max(1, stride // scale)
            found.append(windows[::step, ::step].reshape(-1, 3, SIDE, SIDE))
    return np.concatenate(found)
