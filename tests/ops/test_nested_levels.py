"""A level of torch.func hides what those below it track: vae_loss has gradients in every argument at any of them."""

import pytest
import torch
from torch.func import grad, vmap

from latentcore import ops, reference
from latentcore.testing import assert_near

B, P, L = 2, 3, 2


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64)


def positive(*shape):
    return torch.rand(shape, dtype=torch.float64) * 0.8 + 0.1


GIVEN = {
    "logits": normal(B, P),
    "target": positive(B, P),
    "mu": normal(B, L),
    "logvar": normal(B, L),
    "beta": positive(),
    "prior_mu": normal(B, L),
    "prior_logvar": normal(B, L),
    "sample_weight": positive(B),
    "pos_weight": positive(P),
}


def curved(function, **changed):
    terms = function(**{**GIVEN, **changed}, reduction="mean")
    return terms.loss.sin() + terms.kl.cos() + terms.reconstruction.sin()


def of_the_outer(function, outer, inner):
    """Of the gradient in `inner`, the gradient in `outer`, from which another tensor is made at the inner level."""

    def penalty(value):
        found = grad(lambda other: curved(function, **{outer: value * 1, inner: other}))(GIVEN[inner])
        return found.square().sum()

    return grad(penalty)(GIVEN[outer])


def of_a_leaf(function, outer, inner):
    leaf = GIVEN[outer].clone().requires_grad_()
    found = grad(lambda other: curved(function, **{outer: leaf * 1, inner: other}))(GIVEN[inner])
    found.square().sum().backward()
    return leaf.grad


def of_maps(function, outer, inner):
    stacked = torch.stack([GIVEN[inner], 0.9 * GIVEN[inner]])

    def penalty(value):
        found = vmap(grad(lambda other: curved(function, **{outer: value * 1, inner: other})))(stacked)
        return found.square().sum()

    return grad(penalty)(GIVEN[outer])


@pytest.mark.parametrize("way", [of_the_outer, of_a_leaf, of_maps])
@pytest.mark.parametrize("outer", GIVEN)
def test_every_pair_of_arguments(way, outer):
    for inner in GIVEN:
        if inner != outer:
            assert_near(way(ops.vae_loss, outer, inner), way(reference.vae_loss, outer, inner))


def test_a_retained_graph_within_a_level():
    logits = GIVEN["logits"].clone().requires_grad_()
    loss = ops.vae_loss(logits, GIVEN["target"], GIVEN["mu"], GIVEN["logvar"]).loss
    (expected,) = torch.autograd.grad(loss, logits, retain_graph=True)

    def within(value):
        (found,) = torch.autograd.grad(loss, logits, retain_graph=True)
        found.mul_(0)
        return value.sum()

    grad(within)(torch.ones(1))
    assert torch.equal(torch.autograd.grad(loss, logits)[0], expected)


def test_gradients_in_means_are_mapped():
    logits = GIVEN["logits"].clone().requires_grad_()
    loss = ops.vae_loss(logits, GIVEN["target"], GIVEN["mu"], GIVEN["logvar"]).loss
    factors = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    found = vmap(lambda g: torch.autograd.grad(loss, logits, g, retain_graph=True)[0])(factors)
    (slope,) = torch.autograd.grad(loss, logits)
    assert_near(found, factors.view(-1, 1, 1) * slope)


def test_weights_of_statistics_are_refused_at_any_level():
    x, means, counts = normal(4, 2), normal(2, 2), positive(4)
    weights, spread = positive(2), positive(2)

    def value(x, counts):
        return ops.gmm_statistics(x, weights, means, spread, "spherical", sample_weight=counts * 1).log_likelihood

    with pytest.raises(ValueError, match="sample_weight: expected a tensor that requires no gradient"):
        grad(lambda c: grad(value)(x, c).sum())(counts)
