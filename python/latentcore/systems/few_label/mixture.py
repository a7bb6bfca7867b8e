"""The mixture in the latents of a trained VAE, read with a few labels."""

import warnings
from pathlib import Path
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from latentcore.data.arrays import ImageSet
from latentcore.mixture import GaussianMixture
from latentcore.mixture.presets import class_mean_mixture, few_label_mixture
from latentcore.systems.few_label.config import MixtureConfig
from latentcore.training.run import CodingRun

# shapes: (N, C, H, W) images


def mixture_path(folder: Path) -> Path:
    """Where a run folder keeps its mixture."""
    return folder / "checkpoints" / "mixture.pth"


def fitted_mixture(
    run: CodingRun[Any], images: Tensor, labelled: ImageSet, config: MixtureConfig, seed: int
) -> GaussianMixture:
    """A mixture in the latents of images (N, C, H, W) and of those whose labels are known.

    `predict_label` of the result takes latents, as `run.encode` gives them.
    """
    labels = labelled.known_labels()
    latents = torch.cat([run.encode(images), run.encode(labelled.images)])
    known = torch.full((len(latents),), -1)
    known[-len(labels) :] = labels
    with warnings.catch_warnings():
        # the last digits of the likelihood do not move the classes; the limit of iterations is part of the recipe
        warnings.simplefilter("ignore", ConvergenceWarning)
        if config.start == "class-means":
            return class_mean_mixture(latents, known)
        return few_label_mixture(
            latents,
            known,
            n_components=config.components,
            n_init=config.restarts,
            init_size=config.subsample,
            random_state=seed,
        )


def plain_mixture(run: CodingRun[Any], images: Tensor, labelled: ImageSet) -> GaussianMixture:
    """The textbook's recipe in the latents of `run`: a component per class, started at the labelled images' means."""
    return fitted_mixture(run, images, labelled, MixtureConfig(start="class-means"), seed=0)
