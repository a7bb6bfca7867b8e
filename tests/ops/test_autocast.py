"""Operators under torch.autocast: dtypes meet in the widest, and no product within them is narrowed."""

import pytest
import torch

from latentcore import ops

X = torch.randn(9, 3)
WEIGHTS, MEANS, FACTORS = torch.tensor([0.4, 0.6]), torch.randn(2, 3), torch.eye(3).repeat(2, 1, 1) + 0.3
LOGITS, TARGET, LATENTS = torch.randn(9, 5), torch.rand(9, 5), torch.randn(9, 2)

# a function of a tensor that a network made, and of one that stays float32
FUNCTIONS = {
    "vae_loss": (lambda n, w: ops.vae_loss(n, TARGET, w, LATENTS).loss, LOGITS, LATENTS),
    "reparameterize_kl": (lambda n, w: ops.reparameterize_kl(n, w, seed=1)[0], LATENTS, LATENTS),
    "a prior": (lambda n, w: ops.reparameterize_kl(n, LATENTS, prior_mu=w, seed=1)[1], LATENTS, LATENTS + 1),
    "gmm_log_prob": (lambda n, w: ops.gmm_log_prob(n, w, FACTORS), X, MEANS),
    "gmm_e_step": (lambda n, w: ops.gmm_e_step(n, WEIGHTS, w, precisions_cholesky=FACTORS)[0], X, MEANS),
    "gmm_responsibilities": (lambda n, w: ops.gmm_responsibilities(n, WEIGHTS, w, FACTORS), X, MEANS),
    "gmm_statistics": (
        lambda n, w: ops.gmm_statistics(x=n, weights=WEIGHTS, means=w, precisions_cholesky=FACTORS)[0],
        X,
        MEANS,
    ),
    "rotate": (lambda n, w: ops.rotate(n.view(1, 1, 9, 3), w[0, 0]), X, MEANS),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_narrow_and_wide_tensors_together(name):
    function, narrow, wide = FUNCTIONS[name]
    narrow, wide = narrow.bfloat16().requires_grad_(), wide.clone().requires_grad_()
    lifted = narrow.detach() if name == "rotate" else narrow.detach().float()
    lifted.requires_grad_()
    expected = function(lifted, wide)
    wanted = torch.autograd.grad(expected.sum(), [lifted, wide])
    with torch.autocast("cpu", torch.bfloat16):
        result = function(narrow, wide)
        found = torch.autograd.grad(result.sum(), [narrow, wide])
    assert torch.equal(result, expected)
    assert found[0].dtype == torch.bfloat16
    assert torch.equal(found[0], wanted[0].bfloat16())
    assert torch.equal(found[1], wanted[1])


def test_one_dtype_stays():
    with torch.autocast("cpu", torch.bfloat16):
        z, _ = ops.reparameterize_kl(LATENTS.bfloat16(), LATENTS.bfloat16(), seed=1)
        wide, _ = ops.reparameterize_kl(LATENTS.double(), LATENTS, seed=1)
    assert (z.dtype, wide.dtype) == (torch.bfloat16, torch.float64)


def test_a_hook_that_writes_to_a_gradient_of_a_retained_graph():
    leaf, mu = LOGITS.clone().requires_grad_(), LATENTS.clone().requires_grad_()
    logits = leaf * 1
    logits.register_hook(lambda grad: grad.mul_(2))
    loss = ops.vae_loss(logits, TARGET, mu, LATENTS).loss
    found = [torch.autograd.grad(loss, [leaf, mu], retain_graph=True) for _ in range(3)]
    plain = torch.autograd.grad(ops.vae_loss(leaf, TARGET, mu, LATENTS).loss, [leaf, mu])
    for by_logits, by_mu in found:
        assert torch.equal(by_logits, 2 * plain[0])
        assert torch.equal(by_mu, plain[1])
