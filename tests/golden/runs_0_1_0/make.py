"""How the runs beside this file were made, by latentcore 0.1.0: python tests/golden/runs_0_1_0/make.py FOLDER

They are kept as they are: later versions have to read them. So this script is of that version too, and does not follow
the package. It needs the folder above it on the path. Pictures and TensorBoard's files are left out for their size, and
`last.pth` is packed. It is the checkpoint before the last epoch, so that there is something to go on with; everything
else is of the finished run.
"""

import lzma
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from latentcore.train import TrainConfig, presets
from latentcore.train.autoencoder import AutoencodingConfig
from latentcore.train.classifier import ClassifierConfig
from latentcore.train.config import Augmentation
from latentcore.train.egamma import EgammaConfig
from latentcore.train.few_label import FewLabelConfig, MixtureConfig
from latentcore.train.gan import GANTraining
from latentcore.train.pairs import PairsConfig
from latentcore.train.photographs import PhotographsConfig
from latentcore.train.rotation import RotationConfig
from small_data import SIDE, write_data

from latentcore.cli import main
from latentcore.models import GANConfig, LatentConfig, ResNetConfig, SharpConfig, VAEConfig

TRAIN = TrainConfig(epochs=4, batch_size=16, learning_rate=3e-3, schedule="one-cycle", device="cpu")
PLAIN = VAEConfig(image_shape=(1, SIDE, SIDE), latent=2, hidden=(8,), decoder_hidden=(8,))
DATA = "/data"  # what stands for the folder of the data in everything that is written

SMALL = {
    "AUTOENCODERS": ("vae-2d", AutoencodingConfig(vae=replace(PLAIN, classes=3), train=TRAIN)),
    "CLASSIFIERS": (
        "upright",
        ClassifierConfig(
            resnet=ResNetConfig(image_shape=(1, SIDE, SIDE), classes=3, width=1 / 64, dropout=0.1),
            train=replace(TRAIN, augmentation=Augmentation(degrees=5.0), weight_decay=0.01),
        ),
    ),
    "EGAMMAS": (
        "small",
        EgammaConfig(
            resnet=ResNetConfig(image_shape=(2, SIDE, SIDE), classes=2, width=1 / 64),
            train=replace(TRAIN, early_stop=4, gradient_clip=1.0, augmentation=Augmentation(mirror="xy")),
        ),
    ),
    "FEW_LABEL": (
        "plain",
        FewLabelConfig(vae=PLAIN, train=TRAIN, mixture=MixtureConfig(components=4, restarts=2, subsample=50)),
    ),
    "GANS": (
        "digits",
        GANTraining(
            gan=GANConfig(image_shape=(1, SIDE, SIDE), latent=4, channels=(4, 4), hidden=4),
            train=replace(TRAIN, schedule="cosine", ema=0.9),
        ),
    ),
    "PHOTOGRAPHS": (
        "photographs",
        PhotographsConfig(
            vae=SharpConfig(image_shape=(1, 16, 16), latent=2, channels=(4, 4), refinements=0),
            train=replace(TRAIN, batch_size=8, beta=0.01),
        ),
    ),
    "ROTATIONS": (
        "frozen",
        RotationConfig(
            vae=replace(PLAIN, latent=6),
            operator=LatentConfig(model="equivariant", couplings=1, hidden=(8,)),
            pairs=PairsConfig(upright=0.5),
            train=TRAIN,
            vae_train=replace(TRAIN, epochs=2),
        ),
    ),
}
DIGITS = ("--data", "digits")
COMMANDS = {
    "autoencoder": ("autoencoder", *DIGITS),
    "classifier": ("classifier", "--upright", *DIGITS),
    "egamma": ("egamma", "events.h5", "--preset", "small"),
    "few-label": ("few-label", "--preset", "plain", "--classes", "0,1,2", *DIGITS),
    "gan": ("gan", *DIGITS),
    "photographs": ("photographs", "snapshots"),
    "rotation": ("rotation", "--preset", "frozen", "--digits", "0,1,2", *DIGITS),
}


def make(folder):
    """Train all runs below a folder."""
    write_data(folder)
    os.chdir(folder)
    for name, (preset, config) in SMALL.items():
        getattr(presets, name)[preset] = config
    for name, words in COMMANDS.items():
        train = ("train", *words, "--run-dir", name)
        sys.argv = ["latentcore", *train]  # which `commands.json` remembers
        if main(train):
            raise SystemExit(f"{name} has failed")
        shutil.copyfile(f"{name}.before", f"{name}/checkpoints/last.pth")  # no renaming, which would be seen
        for left_out in ("pictures", "tensorboard", "vae/pictures", "vae/tensorboard"):
            shutil.rmtree(Path(name, left_out), ignore_errors=True)
        for path in Path(name).rglob("last.pth"):
            path.with_name("last.pth.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
            path.unlink()
        for path in Path(name).rglob("*.json"):
            path.write_text(path.read_text().replace(str(folder.resolve()), DATA))


def keep_the_last_but_one(event, arguments):
    """Whenever a run's checkpoint is written, keep the one before."""
    if event == "os.rename" and str(arguments[1]).endswith("last.pth") and Path(arguments[1]).exists():
        run = Path(arguments[1]).parents[1]
        if run.name in COMMANDS:
            shutil.copy(arguments[1], run.with_name(f"{run.name}.before"))


if __name__ == "__main__":
    sys.addaudithook(keep_the_last_but_one)
    make(Path(sys.argv[1]).absolute())
