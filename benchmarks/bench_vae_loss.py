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
