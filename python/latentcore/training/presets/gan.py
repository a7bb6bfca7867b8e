"""Measured configurations of GANs."""

from latentcore.models import GANConfig
from latentcore.training.adversarial import Adversarial
from latentcore.training.config import TrainConfig
from latentcore.training.gan import GANTraining

GANS: dict[str, GANTraining] = {
    "digits": GANTraining(
        gan=GANConfig(latent=64, channels=(32, 64), hidden=128),
        loss=Adversarial(weight=1.0, share=0.125),
        train=TrainConfig(
            epochs=20,
            batch_size=64,
            learning_rate=1e-3,
            betas=(0.5, 0.99),
            schedule="cosine",
            ema=0.999,
            precision="auto",
            channels_last=True,
        ),
    ),
}
