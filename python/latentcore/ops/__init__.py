"""The fast operators: native kernels where there is one for the device, plain torch otherwise."""

from latentcore.ops.mixture import MixtureStatistics, gmm_e_step, gmm_log_prob, gmm_statistics
from latentcore.ops.reparameterize import reparameterize_kl

__all__ = ["MixtureStatistics", "gmm_e_step", "gmm_log_prob", "gmm_statistics", "reparameterize_kl"]
