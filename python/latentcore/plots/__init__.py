"""Functions that take arrays and return a matplotlib figure."""

from latentcore.plots.calorimeter import class_images
from latentcore.plots.decoded import latent_arithmetic, samples
from latentcore.plots.embeddings import tsne, tsne_scatter
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
from latentcore.plots.projections import latent_projection, pca
from latentcore.plots.ranking import auc_by_quantile, reliability_diagram, roc_curves, score_histograms
from latentcore.plots.side_by_side import latent_panels, losses_by_run
from latentcore.plots.style import save_figure
from latentcore.plots.transformations import angle_grid, orbit, psnr_curve
from latentcore.plots.walks import interpolate, interpolation, traversal, traversals

__all__ = [
    "angle_grid",
    "auc_by_quantile",
    "class_images",
    "comparison",
    "criterion_table",
    "film",
    "gaussian_ellipses",
    "image_grid",
    "interpolate",
    "interpolation",
    "latent_arithmetic",
    "latent_panels",
    "latent_projection",
    "latent_scatter",
    "log_likelihood_curve",
    "loss_curves",
    "losses_by_run",
    "manifold",
    "normal_grid",
    "orbit",
    "pca",
    "psnr_curve",
    "reconstructions",
    "reliability_diagram",
    "roc_curves",
    "rotations",
    "samples",
    "save_figure",
    "save_gif",
    "save_image",
    "score_histograms",
    "traversal",
    "traversals",
    "tsne",
    "tsne_scatter",
]
