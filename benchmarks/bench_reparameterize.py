import pytest
import torch

from benchmarks import peers
from latentcore import ops, reference


def both_ways(function, mu, logvar):
    """Forward and backward, as a training step does them."""

    def step():
        z, kl = function(mu, logvar)
        torch.autograd.backward((z, kl), (grad_z, grad_kl))
        gradients = mu.grad, logvar.grad
        mu.grad = logvar.grad = None
        return kl.detach(), *gradients

    grad_z, grad_kl = torch.ones_like(mu), torch.ones(mu.shape[0])
    return step


@pytest.mark.parametrize(
    ("B", "L", "at_least", "goal"),
    [(128, 2, 1.8, 3), (128, 32, 2.2, 3), (512, 128, 4, 6), (4096, 256, 8, 15), (65536, 256, 10, 15)],
)
def test_reparameterize_kl(timed, B, L, at_least, goal):
    mu, logvar = (torch.randn(B, L, requires_grad=True) for _ in range(2))
    torch.compiler.reset()
    functions = {
        "latentcore": ops.reparameterize_kl,
        "eager": peers.sample_and_divergence,
        "compile": torch.compile(peers.sample_and_divergence),
        "twin": lambda mu, logvar: reference.reparameterize_kl(
            mu, logvar, seed=torch.zeros((), dtype=torch.int64), offset=0
        ),
    }
    timed(
        operator="reparameterize_kl forward + backward",
        shape=f"{B}×{L}",
        contestants={name: both_ways(function, mu, logvar) for name, function in functions.items()},
        against=("eager",),
        result=lambda result: result[:2],  # the noise is everyone's own: the KL divergences and the means' gradients
        bytes=4 * B * L * (3 + 5),  # mu, logvar, z; grad_z, mu, logvar, two gradients
        at_least=at_least,
        goal=goal,
    )
