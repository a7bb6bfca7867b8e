"""The fast operators: native kernels where there is one for the device, plain torch otherwise."""

from latentcore.ops.reparameterize import reparameterize_kl
from latentcore.ops.vae_loss import vae_loss
from latentcore.ops.warp import affine, rotate
from latentcore.reference import VAELoss

__all__ = ["VAELoss", "affine", "reparameterize_kl", "rotate", "vae_loss"]
