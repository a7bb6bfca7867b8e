"""The training of a VAE without labels, and of the mixture that a few labels explain."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from latentcore import _errors
from latentcore.data.examples import Examples
from latentcore.data.hashes import fingerprint
from latentcore.data.image_sets import classes_given
from latentcore.mixture.files import save_mixture
from latentcore.models import VAE
from latentcore.systems.few_label.config import FewLabelConfig
from latentcore.systems.few_label.mixture import fitted_mixture, mixture_path
from latentcore.systems.few_label.sources import labelled_images
from latentcore.training.images import SIZES, ImageTraining
from latentcore.training.run import CodingRun


class Training(ImageTraining[FewLabelConfig]):
    """A VAE, which is told no labels, and a mixture in its latents.

    Attributes:
        labelled: The few images whose labels are known.
    """

    needs = ("encode", "decode", "prior", *SIZES)
    shown = ("loss", "reconstruction", "kl")

    def __init__(self, config: FewLabelConfig, data: Examples, fabric: Fabric) -> None:
        super().__init__(config, data, fabric)
        self.labelled = labelled_images(data, config)
        self.config = replace(config, classes=classes_given(data, config.classes, self.labelled))
        least = config.mixture.components
        if config.mixture.start == "restarts" and len(self.learned) < least:
            _errors.fail_value("images", f"at least {least}, one per component", len(self.learned))

    @staticmethod
    def build(config: FewLabelConfig) -> VAE:
        """A new VAE."""
        return VAE(config.vae)

    @property
    def fingerprint(self) -> str:
        """Of the images, and of those whose labels are known with their labels."""
        return fingerprint(self.images.images, self.labelled.images, self.labelled.known_labels())

    def after(self, model: Any, folder: Path) -> None:
        """Fit the mixture in the latents of what was learned, and save it."""
        run = CodingRun(folder, {}, self.config, model.cpu())
        seed = self.config.train.seed
        mixture = fitted_mixture(run, self.learned.images, self.labelled, self.config.mixture, seed)
        save_mixture(mixture_path(folder), mixture)
