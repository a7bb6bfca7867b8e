from latentcore.plots.calorimeter import class_images as class_images
from latentcore.plots.decoded import latent_arithmetic as latent_arithmetic, samples as samples
from latentcore.plots.embeddings import tsne as tsne, tsne_scatter as tsne_scatter
from latentcore.plots.films import film as film, save_gif as save_gif
from latentcore.plots.images import (
    comparison as comparison,
    image_grid as image_grid,
    manifold as manifold,
    normal_grid as normal_grid,
    reconstructions as reconstructions,
    rotations as rotations,
    save_image as save_image,
)
from latentcore.plots.latents import latent_scatter as latent_scatter
from latentcore.plots.losses import loss_curves as loss_curves
from latentcore.plots.mixtures import (
    criterion_table as criterion_table,
    gaussian_ellipses as gaussian_ellipses,
    log_likelihood_curve as log_likelihood_curve,
)
from latentcore.plots.projections import latent_projection as latent_projection, pca as pca
from latentcore.plots.ranking import (
    auc_by_quantile as auc_by_quantile,
    reliability_diagram as reliability_diagram,
    roc_curves as roc_curves,
    score_histograms as score_histograms,
)
from latentcore.plots.side_by_side import latent_panels as latent_panels, losses_by_run as losses_by_run
from latentcore.plots.style import save_figure as save_figure
from latentcore.plots.transformations import angle_grid as angle_grid, orbit as orbit, psnr_curve as psnr_curve
from latentcore.plots.walks import (
    interpolate as interpolate,
    interpolation as interpolation,
    traversal as traversal,
    traversals as traversals,
)
