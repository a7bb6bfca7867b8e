"""Operators under torch.compile: numbers are variables there, and results are those without it."""

import pytest
import torch
from torch._dynamo.utils import counters

from latentcore import ops

IMAGES = torch.rand(3, 1, 10, 10)
LOGITS, TARGET = torch.randn(3, 8), torch.rand(3, 8)
MU, LOGVAR = torch.randn(3, 2), torch.randn(3, 2)

# a function of the number and a tensor that requires a gradient, and that tensor
FUNCTIONS = {
    "beta": (lambda b, t: ops.vae_loss(t, TARGET, MU, LOGVAR, beta=b).loss, LOGITS),
    "beta, rows": (lambda b, t: ops.vae_loss(t, TARGET, MU, LOGVAR, beta=b, reduction="none").loss, LOGITS),
    "scale": (lambda s, t: ops.vae_loss(t, TARGET, MU, LOGVAR, likelihood="gaussian", scale=s).loss, LOGITS),
    "pos_weight": (lambda w, t: ops.vae_loss(t, TARGET, MU, LOGVAR, pos_weight=w).loss, LOGITS),
    "rotate": (lambda v, t: ops.rotate(t, 100 * v, fill=v, center=(v, 2 * v)), IMAGES),
    "affine": (
        lambda v, t: ops.affine(
            t, angle=9 * v, translate=(v, -v), scale=(v, 2 * v), shear=(3 * v, -v), center=(v, 0.0), fill=v
        ),
        IMAGES,
    ),
    "affine, one scale": (lambda v, t: ops.affine(t, scale=v), IMAGES),
}
NUMBERS = [0.05 * step for step in range(1, 21)]


@pytest.fixture(autouse=True)
def compilations():
    """The number of graphs that have been compiled in this test."""
    torch._dynamo.reset()
    counters.clear()
    yield lambda: counters["stats"]["unique_graphs"]
    torch._dynamo.reset()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_numbers_are_not_compiled_anew(name, compilations):
    function, tensor = FUNCTIONS[name]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    leaf = tensor.clone().requires_grad_()
    for number in NUMBERS:
        found, expected = compiled(number, leaf), function(number, leaf)
        torch.testing.assert_close(found, expected)
        grads = (torch.autograd.grad(result.square().sum(), leaf)[0] for result in (found, expected))
        torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)
    assert compilations() <= 2
