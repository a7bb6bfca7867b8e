"""Fused kernels for latent-variable models on PyTorch, and the programs that stand on them."""
