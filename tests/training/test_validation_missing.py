"""An early stop without data to validate by is refused by every system, before its run folder is made."""

import pytest
import torch
from latentcore.training.gan import GANTraining, train_gan

from latentcore import train
from latentcore.models import SharpConfig, VAEConfig
from latentcore.systems.autoencoder.config import AutoencodingConfig
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.training import TrainConfig
from latentcore.training.classifier import ClassifierConfig, train_classifier
from latentcore.training.few_label import FewLabelConfig, train_few_label
from latentcore.training.rotation import RotationConfig, train_rotation

EARLY = TrainConfig(epochs=1, early_stop=3)
IMAGES, LABELS = torch.zeros(40, 1, 28, 28, dtype=torch.uint8), torch.arange(40) % 10
SHARP = SharpConfig((1, 16, 16), 8, channels=(4, 8))

CALLS = {
    "autoencoder": lambda run: train(
        "autoencoder", IMAGES, config=AutoencodingConfig(vae=VAEConfig(), train=EARLY), run_dir=run
    ),
    "classifier": lambda run: train_classifier(IMAGES, LABELS, ClassifierConfig(train=EARLY), run),
    "few-label": lambda run: train_few_label(IMAGES, IMAGES, LABELS, FewLabelConfig(train=EARLY), run),
    "gan": lambda run: train_gan(IMAGES, GANTraining(train=EARLY), run),
    "photographs": lambda run: train(
        "photographs", IMAGES[:, :, :16, :16], config=PhotographsConfig(vae=SHARP, train=EARLY), run_dir=run
    ),
    "rotation": lambda run: train_rotation(IMAGES, RotationConfig(train=EARLY), run),
    "vae of rotation": lambda run: train_rotation(IMAGES, RotationConfig(vae_train=EARLY), run),
}


@pytest.mark.parametrize("system", CALLS)
def test_it_is_one_message_and_no_folder(tmp_path, system):
    with pytest.raises(ValueError, match=r"TrainConfig\.early_stop: expected 0 without validation data \(.*, got 3"):
        CALLS[system](tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
