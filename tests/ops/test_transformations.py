"""torch.func, forward mode and the compiler over both see through every operator."""

import pytest
import torch
from torch.autograd import forward_ad

from latentcore import ops, reference

SEED = torch.zeros((), dtype=torch.int64)
X, LATENTS, IMAGES = torch.rand(4, 6), torch.randn(4, 2), torch.rand(4, 1, 5, 5)
WEIGHTS, MEANS, FACTORS = torch.tensor([0.4, 0.6]), torch.randn(2, 2), torch.eye(2).repeat(2, 1, 1)

# a scalar function of one tensor for each operator, and the tensor
FUNCTIONS = {
    "reparameterize_kl": (lambda m, t: m.reparameterize_kl(t, LATENTS, seed=SEED, offset=0)[0].sin().sum(), LATENTS),
    "vae_loss": (lambda m, t: vae_loss(m, t), torch.randn(4, 6)),
    "gmm_log_prob": (lambda m, t: m.gmm_log_prob(t, MEANS, FACTORS).sin().sum(), LATENTS),
    "gmm_e_step": (lambda m, t: m.gmm_e_step(t, WEIGHTS, MEANS, FACTORS)[0].sin().sum(), LATENTS),
    "gmm_responsibilities": (lambda m, t: m.gmm_responsibilities(t, WEIGHTS, MEANS, FACTORS).sin().sum(), LATENTS),
    "gmm_statistics": (lambda m, t: m.gmm_statistics(t, WEIGHTS, MEANS, FACTORS).log_likelihood, LATENTS),
    "rotate": (lambda m, t: ops.rotate(t, 30.0).square().sum(), IMAGES),
    "angle": (lambda m, t: ops.rotate(IMAGES, t).square().sum(), torch.tensor([3.0, 100.0, 190.0, 280.0])),
}


def vae_loss(module, logits):
    options = {"beta": 1.0, "likelihood": "bernoulli", "scale": 1.0, "reduction": "mean"}
    return module.vae_loss(logits, X, LATENTS, LATENTS, **options).loss


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_mode_and_gradients_of_torch_func(name):
    function, tensor = FUNCTIONS[name]
    direction = torch.randn(tensor.shape)
    value, tangent = torch.func.jvp(lambda t: function(ops, t), (tensor,), (direction,))
    gradient = torch.func.grad(lambda t: function(ops, t))(tensor)
    torch.testing.assert_close(tangent, (gradient * direction).sum(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(value, function(ops, tensor), rtol=1e-4, atol=1e-5)
    leaf = tensor.clone().requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(function(ops, leaf), leaf)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_dual_number_has_a_tangent(name):
    function, tensor = FUNCTIONS[name]
    direction = torch.randn(tensor.shape)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(tensor, direction)
        tangent = forward_ad.unpack_dual(function(ops, dual)).tangent
    assert tangent is not None
    expected = torch.func.jvp(lambda t: function(ops, t), (tensor,), (direction,))[1]
    torch.testing.assert_close(tangent, expected)


def test_a_compiled_call_knows_forward_mode_when_it_comes():
    compiled = torch.compile(lambda t: ops.rotate(t, 30.0).square(), backend="eager")
    direction = torch.randn(IMAGES.shape)
    expected = torch.func.jvp(lambda t: ops.rotate(t, 30.0).square(), (IMAGES,), (direction,))[1]
    for _ in range(2):
        plain = compiled(IMAGES)
        with forward_ad.dual_level():
            dual = compiled(forward_ad.make_dual(IMAGES, direction))
            torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, expected)
        torch.testing.assert_close(plain, ops.rotate(IMAGES, 30.0).square())


# each compiles for seconds
IN_DEPTH = [pytest.param(name, marks=[] if name == "angle" else pytest.mark.long) for name in FUNCTIONS]


@pytest.mark.parametrize("name", IN_DEPTH)
def test_compiled_derivatives_of_torch_func(name):
    function, tensor = FUNCTIONS[name]
    direction = torch.randn(tensor.shape)

    def tangent(t):
        return torch.func.jvp(lambda t: function(ops, t), (t,), (direction,))[1]

    def dual_tangent(t):
        return forward_ad.unpack_dual(torch.compile(function, backend="aot_eager")(ops, t)).tangent

    gradient = torch.func.grad(lambda t: function(ops, t))
    stacked = torch.stack([tensor, tensor])
    for derivative, given in ((tangent, tensor), (gradient, tensor), (torch.vmap(gradient), stacked)):
        compiled = torch.compile(derivative, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(given), derivative(given))
    expected = tangent(tensor)
    with forward_ad.dual_level():
        torch.testing.assert_close(dual_tangent(forward_ad.make_dual(tensor, direction)), expected)


def test_a_result_names_its_operator():
    leaf = LATENTS.clone().requires_grad_()
    assert ops.gmm_log_prob(leaf, MEANS, FACTORS).grad_fn.name() == "gmm_log_probBackward"
    assert ops.reparameterize_kl(leaf, LATENTS)[1].grad_fn.name() == "reparameterize_klBackward"


def test_vmap():
    stacked = torch.randn(3, 4, 2)
    mapped = torch.vmap(lambda t: ops.gmm_log_prob(t, MEANS, FACTORS))(stacked)
    torch.testing.assert_close(mapped, torch.stack([reference.gmm_log_prob(t, MEANS, FACTORS) for t in stacked]))
