"""Calls of vae_loss with each of its options and with all of them."""

import itertools

import torch

B, L = 5, 3
NAN = float("nan")
OPTIONS = ["prior", "prior_mu", "prior_logvar", "mask", "sample_weight", "pos_weight"]
EVERY = ("prior", "mask", "sample_weight", "pos_weight")
SETS = [EVERY, (), *((name,) for name in OPTIONS), ("mask", "pos_weight")]
SIZES = [(1,), (7,), (2, 9), (300,), (2056,)]


def inputs(shape, dtype=torch.float32, rows=B):
    logits = (2 * torch.randn(rows, *shape)).to(dtype)
    return logits, torch.rand(rows, *shape).to(dtype), *(torch.randn(rows, L).to(dtype) for _ in range(2))


def options_of(names, shape, dtype=torch.float32, rows=B):
    """What these options are called by, as an operator takes them."""
    found = {}
    if "prior" in names or "prior_mu" in names:
        found["prior_mu"] = torch.randn(rows, L).to(dtype)
    if "prior" in names or "prior_logvar" in names:
        found["prior_logvar"] = torch.randn(rows, L).to(dtype)
    if "mask" in names:
        found["mask"] = torch.rand(rows, *shape) < 0.7
    if "sample_weight" in names:
        found["sample_weight"] = torch.tensor([0.5, 2.0, 0.0, 1.0, 3.0])[:rows]
    if "pos_weight" in names:
        found["pos_weight"] = 0.5 + 2 * torch.rand(shape)
    return found


def results(function, tensors, options, **more):
    """The terms and the gradients of a weighted sum of them in all that have one."""
    leaves = [tensors[i].detach().clone().requires_grad_() for i in (0, 2, 3)]
    options = dict(options)
    for name in ("prior_mu", "prior_logvar"):
        if name in options:
            options[name] = options[name].detach().clone().requires_grad_()
            leaves.append(options[name])
    output = function(leaves[0], tensors[1], *leaves[1:3], **options, **more)
    total = sum((i + 2) * (term * torch.arange(1, term.numel() + 1)).sum() for i, term in enumerate(output))
    return [*output, *torch.autograd.grad(total, leaves)]


def as_double(tensors):
    return [t.double() if t.is_floating_point() else t for t in tensors]


def doubled(options):
    return dict(zip(options, as_double(options.values()), strict=True))


def ways(names):
    likelihoods = ["bernoulli"] if "pos_weight" in names else ["bernoulli", "gaussian"]
    return [
        {"likelihood": one, "reduction": reduction, "beta": 0.7, "scale": 0.6}
        for one, reduction in itertools.product(likelihoods, ["mean", "none"])
    ]
