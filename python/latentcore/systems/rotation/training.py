"""The training of a VAE and of a transformation of its latents."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from latentcore import _config, _errors
from latentcore.data import ImageSet
from latentcore.data.examples import Examples
from latentcore.data.image_sets import classes_given
from latentcore.models import VAE, TransformingVAE, build_operator
from latentcore.models.objectives import objective_of
from latentcore.systems.rotation.config import RotationConfig
from latentcore.systems.rotation.objective import TransformationLoss
from latentcore.systems.rotation.pairs import Pairs, fitting, transformable
from latentcore.training.building import name_of
from latentcore.training.config import TrainConfig
from latentcore.training.figures import count
from latentcore.training.folder import create_run
from latentcore.training.images import SIZES, ImageTraining
from latentcore.training.loop import minimise
from latentcore.training.processes import from_first, together
from latentcore.training.sources import Images

VAE_FOLDER = "vae"
"""Where a run keeps the training of its VAE alone, which is a run of the system autoencoder."""


class Training(ImageTraining[RotationConfig]):
    """A VAE, an operator, and upright images as bytes; floats are rounded to 1/255.

    Labels count where some classes are only seen upright, or only some of them are learned.
    """

    phases = (VAE_FOLDER,)
    needs = ("vae.encode", "vae.decode", *(f"vae.{size}" for size in SIZES), "operator", "freeze")

    def __init__(self, config: RotationConfig, data: Examples, fabric: Fabric) -> None:
        super().__init__(config, data, fabric)
        alone = config.vae_train
        if alone is not None and alone.early_stop and not self.validated:
            expected = "0 without validation data (TrainConfig.validation, --validation SHARE)"
            _errors.fail_value("TrainConfig.early_stop", expected, alone.early_stop)
        self.config = replace(config, digits=classes_given(data, config.digits, self.images))
        # on the canvas, where there is one
        self._shown = transformable(self.learned, config.pairs)
        self._kept_back = None if self.kept_back is None else transformable(self.kept_back, config.pairs)

    @staticmethod
    def build(config: RotationConfig) -> TransformingVAE:
        """A new model."""
        return TransformingVAE(VAE(config.vae), build_operator(config.operator, config.vae.latent))

    def checked(self, images: Any, name: str) -> ImageSet:
        """Images that fit the configuration, and their labels."""
        found, config = fitting(images, self.config, name), self.config
        reason = "upright_labels" if config.pairs.upright_labels else "digits" if config.digits else ""
        if reason and found.labels is None:
            words = "labels" if name == "images" else f"labels of {name}"
            _errors.fail_value(words, f"a label for every image, for the sake of {reason}", "none")
        return found

    def source(self) -> Pairs:
        """Pairs of an image and the transformed image."""
        return Pairs(self._shown, self.config.pairs)

    def validation(self) -> Pairs | None:
        """Pairs of images that are kept back, the same after every epoch."""
        return None if self._kept_back is None else Pairs(self._kept_back, self.config.pairs)

    def objective(self, model: Any) -> TransformationLoss:
        """How far the model is from transforming images."""
        return TransformationLoss(self.config.loss)

    def before(self, model: Any, folder: Path) -> None:
        """Train the VAE alone, in a run folder of its own, and freeze it, where the configuration says so."""
        if self.config.vae_train is None:
            return
        from_first(self.fabric, lambda: self.begin_vae(folder / VAE_FOLDER, model.vae))
        self._train_vae(model.vae, folder / VAE_FOLDER, self.config.vae_train)
        model.freeze()

    def begin_vae(self, folder: Path, model: VAE) -> None:
        """Make the folder of the VAE, in the first process, where it is not there yet."""
        if not (folder / "config.json").exists():
            sections = {"vae": self.config.vae, "train": self.config.vae_train}
            about: dict[str, Any] = {name: _config.to_plain(section) for name, section in sections.items()}
            about |= {} if type(model) is VAE else {"model": name_of(type(model))}  # by which it opens again
            create_run("autoencoder", about, folder)

    def figures(self, model: Any) -> dict[str, float]:
        """How much the operator has to learn."""
        return {"operator_parameters": count(model.operator)}

    def _train_vae(self, vae: VAE, folder: Path, config: TrainConfig) -> None:
        source = Images(self._shown.images, config.augmentation, config.reconstruct, binarise=config.binarise)
        held = None if self._kept_back is None else Images(self._kept_back.images)
        fabric = together(config)  # the same processes, with this training's precision
        minimise(vae, objective_of(vae), source, config, folder, validation=held, resume=True, fabric=fabric)
