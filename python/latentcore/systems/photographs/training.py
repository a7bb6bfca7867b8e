"""The training of a VAE of photographs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from latentcore import _errors
from latentcore._files import replacing
from latentcore.data.convert import to_unit
from latentcore.data.examples import Examples
from latentcore.data.folders import ImageFolder
from latentcore.data.hashes import fingerprint
from latentcore.models import SharpVAE
from latentcore.models.objectives import NegativeELBO, Objective
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.systems.photographs.pca import principal_axes
from latentcore.systems.photographs.perceptual import PerceptualELBO, chosen_kind, difference_of
from latentcore.training.epoch_pictures import pictures_of_epochs
from latentcore.training.images import SIZES, ImageTraining
from latentcore.training.processes import from_first

# shapes: (N, C, H, W) images, (N, L) latents

SHOWN = 8  # images in a row of the picture of an epoch
_PART = 4096  # images at a time: those of a mapped file are not to be copied at once


class Training(ImageTraining[PhotographsConfig]):
    """A VAE and photographs, a `data.ImageFolder` or images, whose labels do not count.

    The networks begin at the principal axes of the photographs (`models.SharpVAE`). A perceptual term of kind "auto" is
    decided here, and kept in `config.json` as what it is. After every epoch `pictures/epochs/<epochs>.png` shows some
    photographs, below them what the model draws of them, and images decoded from the prior, of the same latents each
    time: photographs to judge by, else of the validation, else of the training.
    """

    needs = ("start_from", "project", "encode", "decode", "decode_logits", "prior", "likelihood", *SIZES)

    def __init__(self, config: PhotographsConfig, data: Examples, fabric: Fabric) -> None:
        super().__init__(config, data, fabric)
        if len(self.learned) < 2:
            _errors.fail_value("images", "at least 2", len(self.learned))
        shown = self.kept_back or self.images
        self._shown = shown if data.test is None else self.checked(data.test, "test")
        kind = from_first(fabric, lambda: chosen_kind(config.perceptual, config.vae.image_shape[0]))
        self.config = replace(config, perceptual=replace(config.perceptual, kind=kind))

    @staticmethod
    def build(config: PhotographsConfig) -> SharpVAE:
        """A new model, without axes."""
        return SharpVAE(config.vae)

    @property
    def fingerprint(self) -> str:
        """Of the photographs."""
        return fingerprint(*self.images.images.split(_PART))

    def objective(self, model: Any) -> Objective:
        """The negative ELBO, with the perceptual term where there is one."""
        wanted = self.config.perceptual
        if wanted.kind == "none" or not wanted.weight:
            return NegativeELBO()
        difference = difference_of(wanted.kind, self.config.vae.image_shape[0], self.fabric.device)
        return PerceptualELBO(difference, wanted.weight)

    def start(self, model: Any) -> None:
        """Set the principal axes, the same in all processes."""
        train, latent = self.config.train, self.config.vae.latent
        images = self.learned.images
        model.start_from(from_first(self.fabric, lambda: principal_axes(images, latent, seed=train.seed)))

    def before(self, model: Any, folder: Path) -> None:
        """Note which files of the folders are left out, and why; one who resumes has only those that are not."""
        folders = [read for read in (self.data.train, self.data.test) if isinstance(read, ImageFolder)]
        if not folders or not self.fabric.is_global_zero or (folder / "left_out.txt").exists():
            return
        with replacing(folder / "left_out.txt") as temporary:
            temporary.write_text("".join(f"{line}\n" for read in folders for line in read.left_out))

    def watch(self, model: Any, folder: Path) -> Callable[[int], None]:
        """A picture of photographs, of their reconstructions, and of images of the prior."""
        return pictures_of_epochs(folder, _drawing(model, self._shown.images), SHOWN)


def _drawing(model: SharpVAE, images: Tensor) -> Callable[[], Tensor]:
    """What draws some photographs, their reconstructions, and images of the prior."""
    rows = torch.linspace(0, len(images) - 1, SHOWN, dtype=torch.float64).long()
    shown = to_unit(images[rows])

    def draw() -> Tensor:
        z = model.prior.sample(2 * SHOWN, torch.Generator().manual_seed(0))  # which may be learned
        like = next(model.parameters())  # of the device and the dtype that the model is trained in
        means, _ = model.encode(shown.to(like))
        return torch.cat([shown.to(like), model.decode(torch.cat([means, z.to(like)]))]).float()

    return draw
