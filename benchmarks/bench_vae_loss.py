import pytest
import torch

from benchmarks import peers
from latentcore import ops, reference


def both_ways(function, target, *inputs):
    """Loss and gradients, as a training step finds them."""

    def step():
        loss = function(inputs[0], target, *inputs[1:])
        return loss.detach(), *torch.autograd.grad(loss, inputs)

    return step


@pytest.mark.parametrize(("B", "at_least", "goal"), [(128, 1.8, 3), (4096, 3, 5)])
def test_vae_loss(timed, B, at_least, goal):
    P, L = 784, 20
    logits, mu, logvar = (torch.randn(B, n, requires_grad=True) for n in (P, L, L))
    target = torch.rand(B, P)
    torch.compiler.reset()
    functions = {
        "latentcore": lambda *inputs: ops.vae_loss(*inputs).loss,
        "eager": peers.bernoulli_loss,
        "compile": torch.compile(peers.bernoulli_loss),
        "twin": lambda *inputs: (
            reference.vae_loss(*inputs, beta=1.0, likelihood="bernoulli", scale=1.0, reduction="mean").loss
        ),
    }
    timed(
        operator="vae_loss forward + backward",
        shape=f"{B}×{P}",
        contestants={name: both_ways(function, target, logits, mu, logvar) for name, function in functions.items()},
        against=("eager", "compile"),
        bytes=4 * B * (P * 3 + L * 4),  # logits, target, gradient; mu, logvar and theirs
        at_least=at_least,
        goal=goal,
    )


@pytest.mark.parametrize(("B", "at_least", "goal"), [(128, 1.5, 3), (4096, 2, 5)])
def test_vae_loss_with_every_option(timed, B, at_least, goal):
    """A prior of its own, missing pixels, weights of samples and of positive pixels."""
    P, L = 784, 20
    logits, mu, logvar, prior_mu, prior_logvar = (torch.randn(B, n, requires_grad=True) for n in (P, L, L, L, L))
    target, mask, weight = torch.rand(B, P), torch.rand(B, P) < 0.8, torch.rand(B) + 0.5
    positive = torch.full((P,), 2.0)
    torch.compiler.reset()

    def ours(module):
        def loss(logits, target, mu, logvar, prior_mu, prior_logvar):
            prior = {"prior_mu": prior_mu, "prior_logvar": prior_logvar}
            options = {"mask": mask, "sample_weight": weight, "pos_weight": positive}
            return module.vae_loss(logits, target, mu, logvar, **prior, **options).loss

        return loss

    def theirs(*tensors):
        return peers.conditional_loss(*tensors, mask, weight, positive)

    functions = {
        "latentcore": ours(ops),
        "eager": theirs,
        "compile": torch.compile(theirs),
        "twin": ours(reference),
    }
    inputs = (logits, mu, logvar, prior_mu, prior_logvar)
    timed(
        operator="vae_loss with prior, mask and weights, forward + backward",
        shape=f"{B}×{P}",
        contestants={name: both_ways(function, target, *inputs) for name, function in functions.items()},
        against=("eager", "compile"),
        bytes=4 * B * (P * 3 + L * 8) + B * P,  # logits, target, gradient, mask; latents, the prior and their gradients
        at_least=at_least,
        goal=goal,
    )
