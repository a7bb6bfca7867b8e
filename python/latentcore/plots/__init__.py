"""Functions that take arrays and return a matplotlib figure."""

from latentcore.plots.calorimeter import class_images
from latentcore.plots.films import film, save_gif
from latentcore.plots.images import (
    comparison,
    image_grid,
    manifold,
    normal_grid,
    reconstructions,
    rotations,
    save_image,
)
from latentcore.plots.latents import latent_scatter
from latentcore.plots.losses import loss_curves
from latentcore.plots.mixtures import criterion_table, gaussian_ellipses, log_likelihood_curve
from latentcore.plots.ranking import auc_by_quantile, reliability_diagram, roc_curves, score_histograms
from latentcore.plots.style import save_figure
from latentcore.plots.transformations import angle_grid, orbit, psnr_curve

__all__ = [
    "angle_grid",
    "auc_by_quantile",
    "class_images",
    "comparison",
    "criterion_table",
    "film",
    "gaussian_ellipses",
    "image_grid",
    "latent_scatter",
    "log_likelihood_curve",
    "loss_curves",
    "manifold",
    "normal_grid",
    "orbit",
    "psnr_curve",
    "reconstructions",
    "reliability_diagram",
    "roc_curves",
    "rotations",
    "save_figure",
    "save_gif",
    "save_image",
    "score_histograms",
]
