"""Operators under torch.func against one call of the same operator without it, for which a mapped dimension is more of
the batch: at most 1.5 times as long, a ratio of 0.67."""

import pytest
import torch

from latentcore import ops

MOST = 1.5


def mixture(D, K):
    return torch.full((K,), 1 / K), torch.randn(K, D), torch.eye(D).repeat(K, 1, 1)


def mixture_functions(D, K):
    weights, means, factors = mixture(D, K)
    return {
        "gmm_log_prob": lambda x: ops.gmm_log_prob(x, means, factors),
        "gmm_responsibilities": lambda x: ops.gmm_responsibilities(x, weights, means, factors),
        "gmm_e_step": lambda x: ops.gmm_e_step(x, weights, means, factors)[0],
    }


def compared(timed, operator, tensors, mapped, plain, loop):
    """`loop` is what users write without vmap: a call for each index."""
    timed(
        operator=operator,
        shape="×".join(map(str, tensors[0].shape)),
        contestants={"latentcore": mapped, "without vmap": plain, "loop": loop},
        against=("without vmap",),
        result=lambda result: result.detach().flatten(),
        tolerance=1e-5,
        bytes=2 * tensors[0].nbytes,
        at_least=1 / MOST,
        goal=1 / 1.2,
    )


def forward(timed, name, function, tensors):
    """`function` of all tensors, and of each index of the first dimension."""
    flat = [t.flatten(0, 1) for t in tensors]
    compared(
        timed,
        f"vmap({name})",
        tensors,
        lambda: torch.vmap(function)(*tensors),
        lambda: function(*flat),
        lambda: torch.stack([function(*row) for row in zip(*tensors, strict=True)]),
    )


def derivative(timed, name, function, tensors):
    """The gradient in the first tensor."""

    def value(*arguments):
        return function(*arguments).sum()

    def plain(first, *others):
        leaf = first.detach().requires_grad_()
        return torch.autograd.grad(value(leaf, *others), leaf)[0]

    flat = [t.flatten(0, 1) for t in tensors]
    compared(
        timed,
        f"vmap(grad({name}))",
        tensors,
        lambda: torch.vmap(torch.func.grad(value))(*tensors),
        lambda: plain(*flat),
        lambda: torch.stack([plain(*row) for row in zip(*tensors, strict=True)]),
    )


@pytest.mark.parametrize("way", [forward, derivative])
def test_rotate(timed, way):
    way(timed, "rotate", ops.rotate, (torch.rand(64, 16, 1, 28, 28), 360 * torch.rand(64, 16)))


@pytest.mark.parametrize("way", [forward, derivative])
@pytest.mark.parametrize("name", ["gmm_log_prob", "gmm_responsibilities", "gmm_e_step"])
def test_mixtures(timed, name, way):
    N, D, K = 1024, 8, 10
    way(timed, name, mixture_functions(D, K)[name], (torch.randn(64, N, D),))


@pytest.mark.parametrize("way", [forward, derivative])
def test_vae_loss(timed, way):
    N, B, P, L = 64, 32, 784, 20
    tensors = (torch.randn(N, B, P), torch.rand(N, B, P), *(torch.randn(N, B, L) for _ in range(2)))
    way(timed, "vae_loss", lambda *t: ops.vae_loss(*t, reduction="none").loss, tensors)


@pytest.mark.parametrize("way", [forward, derivative])
def test_reparameterize_kl(timed, way):
    """The divergences: the noise of a mapped call is that of a loop, not that of a larger batch."""
    tensors = (torch.randn(64, 128, 64), torch.randn(64, 128, 64))
    way(timed, "reparameterize_kl", lambda *t: ops.reparameterize_kl(*t, seed=3)[1], tensors)
