"""The first step of every training that there is a preset for, on a handful of examples."""

import dataclasses

import h5py
import numpy as np
import pytest
import torch

import latentcore
from latentcore.models import ResNetConfig
from latentcore.systems.autoencoder.config import PRESETS as AUTOENCODERS
from latentcore.systems.classifier.config import PRESETS as CLASSIFIERS, ClassifierConfig
from latentcore.systems.egamma.config import PRESETS as EGAMMAS
from latentcore.systems.few_label.config import PRESETS as FEW_LABEL
from latentcore.systems.gan.config import PRESETS as GANS
from latentcore.systems.photographs.config import PRESETS as PHOTOGRAPHS
from latentcore.systems.rotation.config import PRESETS as ROTATIONS
from latentcore.training import TrainConfig
from latentcore.training.optimizer import LeanAdamW

EXAMPLES = 20
BATCH = 4


def images(shape):
    generator = torch.Generator("cpu").manual_seed(0)
    return torch.randint(0, 256, (EXAMPLES, *shape), generator=generator, dtype=torch.uint8, device="cpu")


def labels():
    return torch.arange(EXAMPLES, device="cpu") % 3


def autoencoder(config, folder):
    latentcore.train("autoencoder", images(config.network.image_shape), config=config, labels=labels(), run_dir=folder)


def few_label(config, folder):
    shown = images(config.vae.image_shape)
    config = dataclasses.replace(config, classes=())
    latentcore.train("few-label", shown, labelled=(shown, labels()), config=config, run_dir=folder)


def rotation(config, folder):
    config = dataclasses.replace(config, digits=())  # all of the few that are there
    latentcore.train("rotation", images(config.vae.image_shape), labels=labels(), config=config, run_dir=folder)


def classifier(config, folder):
    shown = images(config.resnet.image_shape)
    latentcore.train("classifier", shown, labels=labels(), config=config, run_dir=folder)


def egamma(config, folder):
    channels, height, width = config.resnet.image_shape
    random = np.random.default_rng(0)
    with h5py.File(folder.with_suffix(".h5"), "w") as file:
        file["X"] = random.exponential(0.1, (10 * EXAMPLES, height, width, channels)).astype("f4")
        file["y"] = np.arange(10 * EXAMPLES) % 2
    latentcore.train("egamma", folder.with_suffix(".h5"), config=config, run_dir=folder)


def gan(config, folder):
    latentcore.train("gan", images(config.gan.image_shape), config=config, run_dir=folder)


def photographs(config, folder):
    # as many principal axes as latents are asked for
    config = dataclasses.replace(config, vae=dataclasses.replace(config.vae, latent=4))
    latentcore.train("photographs", images(config.vae.image_shape), config=config, run_dir=folder)


SYSTEMS = [
    (autoencoder, AUTOENCODERS),
    (few_label, FEW_LABEL),
    (rotation, ROTATIONS),
    (classifier, CLASSIFIERS),
    (egamma, EGAMMAS),
    (gan, GANS),
    (photographs, PHOTOGRAPHS),
]
# of a ResNet-15, by the channels of its first block; the others have two, four and eight times as many
WIDTHS = {
    f"{channels} channels": ClassifierConfig(
        ResNetConfig(image_shape=(1, 12, 12), width=channels / 64), TrainConfig(channels_last=True)
    )
    for channels in range(1, 21)
}
TRAININGS = {
    f"{begin.__name__}: {name}": (begin, config)
    for begin, presets in [*SYSTEMS, (classifier, WIDTHS)]
    for name, config in presets.items()
}


class EnoughError(Exception):
    """Raised by the first step of the last training of a run."""


def gradients_of_first_steps(name, precision, folder):
    """What the first step of each training of a run finds, by the name of the run's preset."""
    begin, config = TRAININGS[name]
    # some begin with a training of the VAE alone
    fields = [field for field in ("train", "vae_train") if getattr(config, field, None) is not None]
    changes = {field: brief(getattr(config, field), precision) for field in fields}
    found = {}  # by optimiser, each of which lives on

    def keep(optimizer):
        """Moves nothing, so that what comes later depends on no rounding of it."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if optimizer not in found:
            found[optimizer] = [p.grad.detach().clone() for p in parameters if p.grad is not None]
        if len(found) == len(changes):
            raise EnoughError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LeanAdamW, "step", keep)
        with pytest.raises(EnoughError):
            begin(dataclasses.replace(config, **changes), folder)
    return list(found.values())


def brief(config, precision):
    return dataclasses.replace(config, epochs=1, batch_size=BATCH, device="cpu", precision=precision)
