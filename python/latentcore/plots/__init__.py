"""Functions that take arrays and return a matplotlib figure."""

from latentcore.plots.images import image_grid, manifold, normal_grid, reconstructions, rotations
from latentcore.plots.latents import latent_scatter
from latentcore.plots.losses import loss_curves
from latentcore.plots.style import save_figure

__all__ = [
    "image_grid",
    "latent_scatter",
    "loss_curves",
    "manifold",
    "normal_grid",
    "reconstructions",
    "rotations",
    "save_figure",
]
