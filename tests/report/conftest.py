import dataclasses
import shutil

import pytest
import torch
from report_pages import Page

from latentcore import load_run, train
from latentcore._files import write_json
from latentcore.data import ImageSet, mnist
from latentcore.data.examples import Where
from latentcore.evaluate.latents import write_latents
from latentcore.models import AutoencoderConfig, ConvConfig, GANConfig, LatentConfig, MLPConfig, SharpConfig, VAEConfig
from latentcore.report.writing import write_report
from latentcore.systems.autoencoder import pictures as autoencoder_pictures
from latentcore.systems.autoencoder.config import AutoencodingConfig
from latentcore.systems.few_label import command as few_label
from latentcore.systems.few_label.config import FewLabelConfig, MixtureConfig
from latentcore.systems.few_label.sources import IMAGES
from latentcore.systems.gan.config import GANTraining
from latentcore.systems.photographs import pictures as photographs_pictures
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.systems.rotation.config import PairsConfig, RotationConfig
from latentcore.training import TrainConfig
from latentcore.training.system import NoOptions

TRAIN = TrainConfig(epochs=2, batch_size=64, learning_rate=3e-3, device="cpu")
PLAIN = {"network": MLPConfig(hidden=(128,), decoder_hidden=(128,))}


RUNS = ("few-label", "ae-2d", "rotation", "gan", "photographs")


@pytest.fixture(scope="session")
def made(once):
    """Runs of several systems, small ones, by name; nobody changes their folders."""
    folder = once("report-runs", make)
    return {name: load_run(folder / name) for name in RUNS}


def make(folder):
    """Train them."""
    digits, test = mnist.embedded("train"), mnist.embedded("test")
    config = FewLabelConfig(
        vae=VAEConfig(**PLAIN),
        train=dataclasses.replace(TRAIN, epochs=12),
        mixture=MixtureConfig(components=6),
        classes=(1, 4, 8),
    )
    some = IMAGES.opened(Where(("digits",)), config)
    run = train("few-label", some, config=config, run_dir=folder / "few-label")
    write_json(run.folder / "metrics.json", {**run.metrics, **few_label.evaluate(run, some, NoOptions(), run.folder)})

    config = AutoencodingConfig(autoencoder=AutoencoderConfig(**PLAIN), train=TRAIN)
    run = train("autoencoder", digits.images[:600], config=config, run_dir=folder / "ae-2d")
    autoencoder_pictures.write_pictures(run, ImageSet(test.images[:300], test.labels[:300]), run.folder)

    config = RotationConfig(
        vae=VAEConfig(
            latent=6, network=ConvConfig(hidden=(32,), decoder_hidden=(32,), channels=(4, 8), activation="silu")
        ),
        operator=LatentConfig(model="equivariant", couplings=1, hidden=(16,)),
        pairs=PairsConfig(upright=0.5),
        train=TRAIN,
    )
    two, shown = digits.select([1, 2]), test.select([1, 2])
    some = ImageSet(two.images[:128], two.labels[:128])
    run = train("rotation", some, config=config, run_dir=folder / "rotation")
    write_latents(run.folder, shown.images, run.encode(shown.images), shown.labels)

    config = GANTraining(gan=GANConfig(latent=8, channels=(4, 8), hidden=16), train=TRAIN)
    train("gan", digits.images[:256], config=config, run_dir=folder / "gan")

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
