"""Every system, small: a configuration that trains in a moment, and what it learns from."""

from dataclasses import replace

import torch

from latentcore import systems
from latentcore.data.egamma.simulator import write

SIDE = 12
# set in the preset of each system; what is random within layers differs between processes, so that there is none
FIELDS = {
    "autoencoder": {"vae.latent": "3", "vae.network.hidden": "16", "vae.network.decoder_hidden": "16"},
    "classifier": {"resnet.classes": "3", "resnet.width": "0.03125", "resnet.dropout": "0"},
    "egamma": {"resnet.width": "0.03125", "resnet.dropout": "0", "events.storage": "resident", "events.test": "0.4"},
    "few-label": {
        "classes": "0,1,2",
        "vae.network.hidden": "16",
        "vae.network.decoder_hidden": "16",
        "mixture.components": "3",
        "mixture.restarts": "1",
    },
    "gan": {"gan.latent": "4", "gan.channels": "4,8", "gan.hidden": "16", "loss.share": "1"},
    "photographs": {
        "vae.image_shape": "1,16,16",
        "vae.channels": "4,8",
        "vae.latent": "4",
        "vae.refinements": "0",
        "perceptual.kind": "none",
    },
    "rotation": {
        "vae.latent": "4",
        "vae.network.channels": "4,8",
        "vae.network.hidden": "16",
        "vae.network.decoder_hidden": "16",
        "operator.hidden": "16",
    },
}


def configuration(name, **train):
    """The first preset of a system, made small; `train` are fields of its training."""
    system = systems.find(name)
    config = system.preset
    shaped = name not in ("egamma", "photographs")  # of which one follows the files, the other one the fields
    from latentcore._settings import changed

    config = changed(config.for_shape((1, SIDE, SIDE)) if shaped else config, FIELDS[name])
    return replace(config, train=replace(config.train, **train))


def images(count=96, side=SIDE):
    """Images (N, 1, H, W) of three classes, and their labels."""
    pictures = torch.randint(40, (count, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pictures[0::3, :, 4:7, :] += 200
    pictures[1::3, :, :, 4:7] += 200
    pictures[2::3, :, :6, :6] += 200
    return pictures, torch.arange(count) % 3


def data(name, folder):
    """What a system learns from, as `latentcore.train` takes it: the data, and what else it is told."""
    if name == "egamma":
        events = folder / "events.h5"
        if not events.exists():
            write(events, 100, seed=3)
        return events, {}
    pictures, labels = images(side=16 if name == "photographs" else SIDE)
    return pictures, {"labels": labels} if name in ("classifier", "few-label", "rotation") else {}
