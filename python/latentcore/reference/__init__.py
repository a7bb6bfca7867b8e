"""Plain torch twins of the operators: fall-back, test oracle and benchmark baseline in one."""

from latentcore.reference._dtypes import sum_dtype
from latentcore.reference.em import MixtureFit, covariances_of, gmm_em
from latentcore.reference.kmeans import KMeansStep, kmeans_potentials, kmeans_step, kmeans_update
from latentcore.reference.m_step import (
    MixtureParameters,
    count_guard,
    gmm_m_step,
    mean_weight_of,
    precisions_cholesky_of,
)
from latentcore.reference.mixture import (
    COVARIANCE_TYPES,
    MixtureStatistics,
    centred_moments,
    covariance_shape,
    gmm_e_step,
    gmm_log_prob,
    gmm_responsibilities,
    gmm_statistics,
)
from latentcore.reference.reparameterize import philox_normal, reparameterize_kl
from latentcore.reference.vae_loss import VAELoss, vae_loss
from latentcore.reference.warp import affine_sampling, inverse_sampling, rotation_sampling, warp

__all__ = [
    "COVARIANCE_TYPES",
    "KMeansStep",
    "MixtureFit",
    "MixtureParameters",
    "MixtureStatistics",
    "VAELoss",
    "affine_sampling",
    "centred_moments",
    "count_guard",
    "covariance_shape",
    "covariances_of",
    "gmm_e_step",
    "gmm_em",
    "gmm_log_prob",
    "gmm_m_step",
    "gmm_responsibilities",
    "gmm_statistics",
    "inverse_sampling",
    "kmeans_potentials",
    "kmeans_step",
    "kmeans_update",
    "mean_weight_of",
    "philox_normal",
    "precisions_cholesky_of",
    "reparameterize_kl",
    "rotation_sampling",
    "sum_dtype",
    "vae_loss",
    "warp",
]
