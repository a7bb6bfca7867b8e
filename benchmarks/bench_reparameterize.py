import pytest
import torch

from benchmarks import peers
from latentcore import ops, reference


def both_ways(function, *leaves, kl_shape):
    """Forward and backward, as a training step does them."""

    def step():
        z, kl = function(*leaves)
        torch.autograd.backward((z, kl), (grad_z, grad_kl))
        gradients = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return kl.detach(), *gradients

    grad_z, grad_kl = torch.ones_like(leaves[0]), torch.ones(kl_shape)
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
        contestants={name: both_ways(function, mu, logvar, kl_shape=(B,)) for name, function in functions.items()},
        against=("eager",),
        result=lambda result: result[:2],  # the noise is everyone's own: the KL divergences and the means' gradients
        bytes=4 * B * L * (3 + 5),  # mu, logvar, z; grad_z, mu, logvar, two gradients
        at_least=at_least,
        goal=goal,
    )


@pytest.mark.parametrize(("B", "L", "at_least", "goal"), [(128, 32, 1.8, 3), (4096, 256, 5, 15)])
def test_reparameterize_kl_with_a_prior(timed, B, L, at_least, goal):
    """The divergence of every latent from a prior of its own: a step of a hierarchical VAE with free bits."""
    leaves = [torch.randn(B, L, requires_grad=True) for _ in range(4)]
    torch.compiler.reset()

    def ours(module, **options):
        def call(mu, logvar, prior_mu, prior_logvar):
            prior = {"prior_mu": prior_mu, "prior_logvar": prior_logvar}
            return module.reparameterize_kl(mu, logvar, **prior, reduction="none", **options)

        return call

    functions = {
        "latentcore": ours(ops),
        "eager": peers.sample_and_divergence_of_prior,
        "compile": torch.compile(peers.sample_and_divergence_of_prior),
        "twin": ours(reference, seed=torch.zeros((), dtype=torch.int64)),
    }
    timed(
        operator="reparameterize_kl with a prior, by latent, forward + backward",
        shape=f"{B}×{L}",
        contestants={name: both_ways(one, *leaves, kl_shape=(B, L)) for name, one in functions.items()},
        against=("eager",),
        result=lambda result: (result[0], result[1], *result[3:]),  # the noise is everyone's own
        bytes=4 * B * L * (6 + 10),  # latents and prior, z, kl; two gradients in, latents and prior, four out
        at_least=at_least,
        goal=goal,
    )
