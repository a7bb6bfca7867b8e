"""Calls from several threads of Python at once give the bits of calls one after the other."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from latentcore import ops

WORKERS, CALLS = 4, 24
X, TARGET = torch.randn(300, 5), torch.rand(300, 40)
WEIGHTS, MEANS, FACTORS = torch.tensor([0.4, 0.6]), torch.randn(2, 5), torch.eye(5).repeat(2, 1, 1) + 0.1
IMAGES = torch.rand(6, 2, 33, 33)

# of a number, different for each call, and a tensor that requires a gradient
FUNCTIONS = {
    "reparameterize_kl": (lambda i, t: ops.reparameterize_kl(t, 0.1 * t, seed=i)[0], X),
    "vae_loss": (lambda i, t: ops.vae_loss(t, TARGET, i * X[:, :2], X[:, 2:4], reduction="none").loss, TARGET - 0.5),
    "gmm_log_prob": (lambda i, t: ops.gmm_log_prob(t, i * MEANS, FACTORS), X),
    "gmm_e_step": (lambda i, t: ops.gmm_e_step(t, WEIGHTS, i * MEANS, FACTORS)[1], X),
    "gmm_statistics": (lambda i, t: ops.gmm_statistics(t, WEIGHTS, i * MEANS, FACTORS).log_likelihood, X),
    "rotate": (lambda i, t: ops.rotate(t, 7.0 * i), IMAGES),
    "kmeans_step": (lambda i, t: ops.kmeans_step(t.detach(), i * MEANS).shifts + 0 * t.sum(), X),
    "gmm_em": (
        lambda i, t: ops.gmm_em(t.detach(), WEIGHTS, i * MEANS, FACTORS, max_iter=3).parameters.means + 0 * t.sum(),
        X,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_calls_of_several_threads(name):
    function, tensor = FUNCTIONS[name]

    def work(number):
        leaf = tensor.clone().requires_grad_()
        result = function(1 + number % 5, leaf)
        (grad,) = torch.autograd.grad(result.square().sum(), leaf)
        return result.detach(), grad

    expected = [work(number) for number in range(CALLS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(work, range(CALLS)))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_a_wrong_target_is_that_of_the_thread_that_gave_it():
    """What a pass over the pixels finds is asked for after it, by the same thread."""
    logits, latents = torch.zeros(4, 9), torch.zeros(4, 2)

    def work(number):
        target = torch.full((4, 9), 2.0 if number % 2 else 0.5)
        try:
            return ops.vae_loss(logits, target, latents, latents).loss.isfinite().item()
        except ValueError:
            return None

    with ThreadPoolExecutor(WORKERS) as pool:
        assert list(pool.map(work, range(200))) == [None if number % 2 else True for number in range(200)]
