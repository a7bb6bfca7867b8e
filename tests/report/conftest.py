import dataclasses
import shutil

import pytest
import torch
from latentcore.training.gan import GANTraining, train_gan
from report_pages import Page

from latentcore import load_run, train
from latentcore._files import write_json
from latentcore.data import ImageSet, mnist
from latentcore.evaluate import few_label as few_label_evaluation
from latentcore.evaluate.latents import write_latents
from latentcore.models import AutoencoderConfig, GANConfig, LatentConfig, SharpConfig, VAEConfig
from latentcore.report.page import write_report
from latentcore.systems.autoencoder import pictures as autoencoder_pictures
from latentcore.systems.autoencoder.config import AutoencodingConfig
from latentcore.systems.photographs import pictures as photographs_pictures
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.training import TrainConfig
from latentcore.training.few_label import FewLabelConfig, MixtureConfig, train_few_label
from latentcore.training.pairs import PairsConfig
from latentcore.training.rotation import RotationConfig, train_rotation

TRAIN = TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, device="cpu")
PLAIN = {"hidden": (128,), "decoder_hidden": (128,)}


RUNS = ("few-label", "ae-2d", "rotation", "gan", "photographs")


@pytest.fixture(scope="session")
def made(once):
    """Runs of several systems, small ones, by name; nobody changes their folders."""
    folder = once("report-runs", make)
    return {name: load_run(folder / name) for name in RUNS}


def make(folder):
    """Train them."""
    digits, test = mnist.embedded("train"), mnist.embedded("test")

    some, few = digits.select([1, 4, 8]), test.select([1, 4, 8])
    labelled = some.draw(5, seed=0)
    config = FewLabelConfig(
        vae=VAEConfig(**PLAIN), train=dataclasses.replace(TRAIN, epochs=12), mixture=MixtureConfig(components=6)
    )
    run = train_few_label(some.images, labelled.images, labelled.labels, config, folder / "few-label")
    few_label_evaluation.write_pictures(run, few)
    write_json(run.folder / "metrics.json", {**run.metrics, **few_label_evaluation.figures(run, few)})

    config = AutoencodingConfig(autoencoder=AutoencoderConfig(**PLAIN), train=TRAIN)
    run = train("autoencoder", digits.images[:600], config=config, run_dir=folder / "ae-2d")
    autoencoder_pictures.write_pictures(run, ImageSet(test.images[:300], test.labels[:300]), run.folder)

    config = RotationConfig(
        vae=VAEConfig(latent=6, encoder="conv", hidden=(32,), decoder_hidden=(32,), channels=(4, 8), activation="silu"),
        operator=LatentConfig(model="equivariant", couplings=1, hidden=(16,)),
        pairs=PairsConfig(upright=0.5),
        train=TRAIN,
    )
    two = digits.select([1, 2])
    run = train_rotation(two.images[:128], config, folder / "rotation", labels=two.labels[:128])
    shown = test.select([1, 2])
    write_latents(run.folder, shown.images, run.encode(shown.images), shown.labels)

    config = GANTraining(gan=GANConfig(latent=8, channels=(4, 8), hidden=16), train=TRAIN)
    train_gan(digits.images[:256], config, folder / "gan")

    photographs = torch.rand(40, 3, 16, 16)
    config = PhotographsConfig(
        vae=SharpConfig(image_shape=(3, 16, 16), latent=4, channels=(4, 8), refinements=1),
        train=dataclasses.replace(TRAIN, epochs=3, batch_size=16, beta=0.01),
    )
    run = train("photographs", photographs, config=config, run_dir=folder / "photographs")
    photographs_pictures.write_pictures(run, photographs, range(40), run.folder)


@pytest.fixture
def copied(made, tmp_path):
    """A function that copies a run's folder, for a test to change."""

    def copy(name, to=None):
        return shutil.copytree(made[name].folder, tmp_path / (to or name))

    return copy


@pytest.fixture
def report(tmp_path):
    """A function that writes the report of run folders and reads its page."""
    return lambda *runs: Page(write_report(runs, tmp_path / "report.html"))
