"""Functions that take arrays and return a matplotlib figure."""

from latentcore.plots.images import image_grid, manifold, normal_grid, reconstructions, rotations
from latentcore.plots.latents import latent_scatter
from latentcore.plots.losses import loss_curves
from latentcore.plots.mixtures import criterion_table, gaussian_ellipses, log_likelihood_curve
from latentcore.plots.style import save_figure

__all__ = [
    "criterion_table",
    "gaussian_ellipses",
    "image_grid",
    "latent_scatter",
    "log_likelihood_curve",
    "loss_curves",
    "manifold",
    "normal_grid",
    "reconstructions",
    "rotations",
    "save_figure",
]
