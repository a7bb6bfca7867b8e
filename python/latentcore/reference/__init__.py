"""Plain torch twins of the operators: fall-back, test oracle and benchmark baseline in one."""

from latentcore.reference._dtypes import sum_dtype
from latentcore.reference.reparameterize import philox_normal, reparameterize_kl
from latentcore.reference.vae_loss import VAELoss, vae_loss

__all__ = ["VAELoss", "philox_normal", "reparameterize_kl", "sum_dtype", "vae_loss"]
