"""The latent plane."""

from typing import Any

from matplotlib.figure import Figure

from latentcore.plots import plane
from latentcore.plots.style import new_figure, tidy

# shapes: N samples, K Gaussians


def latent_scatter(
    z: Any, labels: Any = None, *, means: Any = None, covariances: Any = None, covariance_type: str = "full"
) -> Figure:
    """Latents in the plane, coloured by label, with each Gaussian as its ellipses of one and two standard deviations.

    Args:
        z: (N, 2).
        labels: (N,), or None for one colour.
        means: (K, 2), or None for no ellipses.
        covariances: Where there are means: of "full" (K, 2, 2), "tied" (2, 2), "diag" (K, 2), "spherical" (K,).
        covariance_type: Which of them.
    """
    z, names = plane.samples("z", z, labels)
    gaussians = () if means is None else zip(*plane.gaussians(means, covariances, covariance_type), strict=True)
    figure = new_figure(6, 5.4)
    panel = figure.subplots()
    size = plane.add_samples(panel, z, names)
    for mean, covariance in gaussians:
        plane.add_ellipses(panel, mean, covariance)
    if labels is not None:
        plane.add_legend(panel, "label", size)
    panel.set_xlabel("$z_1$")
    panel.set_ylabel("$z_2$")
    tidy(panel)
    return figure
