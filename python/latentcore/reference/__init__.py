"""Plain torch twins of the operators: fall-back, test oracle and benchmark baseline in one."""

from latentcore.reference._dtypes import sum_dtype
from latentcore.reference.mixture import MixtureStatistics, centred_moments, gmm_e_step, gmm_log_prob, gmm_statistics
from latentcore.reference.reparameterize import philox_normal, reparameterize_kl

__all__ = [
    "MixtureStatistics",
    "centred_moments",
    "gmm_e_step",
    "gmm_log_prob",
    "gmm_statistics",
    "philox_normal",
    "reparameterize_kl",
    "sum_dtype",
]
