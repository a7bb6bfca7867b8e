"""Generative adversarial networks."""

from latentcore.systems.gan.config import PRESETS, GANOptions, GANTraining
from latentcore.training.system import System

SYSTEM = System(
    name="gan",
    does="a generator of images, and a discriminator that it deceives",
    config=GANTraining,
    presets=PRESETS,
    training="latentcore.systems.gan.training:Training",
    run="latentcore.systems.gan.run:GANRun",
    checked="latentcore.systems.gan.command:check",
    evaluate="latentcore.systems.gan.command:evaluate",
    judged_beside_training=True,
    options=GANOptions,
    headlines=("frechet", "frechet_ratio", "frechet_real", "coverage_error"),
    captions={"samples": "Images drawn of normal latents", "epochs/": "What is drawn of the same latents"},
)
