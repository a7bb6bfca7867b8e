"""Samples drawn from a mixture."""

import numpy as np
import torch
from torch import Tensor

from latentcore.reference import MixtureParameters

# shapes: (N, D) samples, K components


def draw(
    parameters: MixtureParameters, covariance_type: str, count: int, random: np.random.RandomState
) -> tuple[Tensor, Tensor]:
    """Samples in float64, component after component, and their components, (N,); scikit-learn's draws."""
    weights, means, _, factors = parameters
    counts = random.multinomial(count, (weights / weights.sum()).cpu().numpy())
    component = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(means.device)
    noise = torch.from_numpy(random.standard_normal((count, means.shape[1]))).to(means.device)
    parts = noise.split([int(number) for number in counts])
    x = torch.cat([_coloured(part, factors, k, covariance_type) for k, part in enumerate(parts)])
    return x + means[component], component


def _coloured(noise: Tensor, factors: Tensor, k: int, covariance_type: str) -> Tensor:
    """White noise given the covariance of component k."""
    if covariance_type in ("diag", "spherical"):
        return noise / factors[k]
    factor = factors if covariance_type == "tied" else factors[k]
    coloured: Tensor = torch.linalg.solve_triangular(factor.mT, noise.mT, upper=False).mT
    return coloured
