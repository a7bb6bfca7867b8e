"""The fast operators: native kernels where there is one for the device, plain torch otherwise."""

from latentcore.ops.reparameterize import reparameterize_kl

__all__ = ["reparameterize_kl"]
