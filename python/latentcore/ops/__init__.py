"""The fast operators: native kernels where there is one for the device, plain torch otherwise."""

from latentcore.ops.em import gmm_em
from latentcore.ops.kmeans import kmeans_potentials, kmeans_step, kmeans_update
from latentcore.ops.m_step import gmm_m_step
from latentcore.ops.mixture import gmm_e_step, gmm_log_prob, gmm_responsibilities, gmm_statistics
from latentcore.ops.reparameterize import reparameterize_kl
from latentcore.ops.vae_loss import vae_loss
from latentcore.ops.warp import affine, rotate
from latentcore.reference import KMeansStep, MixtureFit, MixtureParameters, MixtureStatistics, VAELoss

__all__ = [
    "KMeansStep",
    "MixtureFit",
    "MixtureParameters",
    "MixtureStatistics",
    "VAELoss",
    "affine",
    "gmm_e_step",
    "gmm_em",
    "gmm_log_prob",
    "gmm_m_step",
    "gmm_responsibilities",
    "gmm_statistics",
    "kmeans_potentials",
    "kmeans_step",
    "kmeans_update",
    "reparameterize_kl",
    "rotate",
    "vae_loss",
]
