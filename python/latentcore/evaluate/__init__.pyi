from latentcore.evaluate.angles import classifier_accuracy as classifier_accuracy
from latentcore.evaluate.latents import Latents as Latents, read_latents as read_latents, write_latents as write_latents
from latentcore.evaluate.likelihood import (
    ELBO as ELBO,
    LatentAxes as LatentAxes,
    active_units as active_units,
    elbo as elbo,
    importance_weighted_nll as importance_weighted_nll,
    latent_axes as latent_axes,
    likelihood_figures as likelihood_figures,
    nll_per_image as nll_per_image,
)
from latentcore.evaluate.targets import binarised as binarised
