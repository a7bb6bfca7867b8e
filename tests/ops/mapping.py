"""Calls of every operator with tensors that torch.func maps over, and what a loop makes of them."""

import random

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from latentcore import ops
from latentcore.reference import MixtureStatistics

KINDS = ("full", "tied", "diag", "spherical")
V = 3


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64)


def positive(*shape):
    return torch.rand(shape, dtype=torch.float64) + 0.5


def mixture_cases(kind, batch):
    N, K, D = random.randint(1, 6), random.randint(1, 4), random.randint(1, 4)
    factors = {"full": (K, D, D), "tied": (D, D), "diag": (K, D), "spherical": (K,)}[kind]
    x, weights, means, factors = (
        normal(*batch, N, D), positive(*batch, K), normal(*batch, K, D), positive(*batch, *factors)
    )  # fmt: skip
    name = f"{kind}-{len(batch)}"

    def statistics(*tensors):
        return ops.gmm_statistics(*tensors[:4], kind, sample_weight=tensors[4])

    return {
        f"gmm_log_prob-{name}": (lambda *t: ops.gmm_log_prob(*t, kind), (x, means, factors)),
        f"gmm_e_step-{name}": (lambda *t: ops.gmm_e_step(*t, kind), (x, weights, means, factors)),
        f"gmm_responsibilities-{name}": (lambda *t: ops.gmm_responsibilities(*t, kind), (x, weights, means, factors)),
        f"gmm_statistics-{name}": (lambda *t: ops.gmm_statistics(*t, kind), (x, weights, means, factors)),
        f"weighted-{name}": (statistics, (x, weights, means, factors, positive(*batch, N))),
    }


def image_cases():
    N, A, C, H, W = (random.randint(1, most) for most in (2, 2, 2, 4, 4))
    images, angle, several = normal(N, C, H, W), 360 * positive(N), 360 * positive(N, A)
    matrix = torch.eye(2, 3, dtype=torch.float64) + 0.3 * normal(N, 2, 3)
    pixels = torch.randint(0, 256, (N, C, H, W), dtype=torch.uint8)
    return {
        "rotate": (ops.rotate, (images, angle)),
        "rotate by several": (lambda i, a, c: ops.rotate(i, a, center=c, fill=0.5), (images, several, normal(N, 2))),
        "rotate one image": (ops.rotate, (images[0], angle[0])),
        "nearest": (lambda i, a: ops.rotate(i, a, interpolation="nearest"), (images, angle)),
        "bytes": (lambda i, a: ops.rotate(i, a, dtype=torch.float64), (pixels, several)),
        "affine": (
            lambda i, a, s, t: ops.affine(i, angle=a, scale=s, translate=t),
            (images, angle, positive(N, 2), normal(N, 2)),
        ),
        "matrix": (lambda i, m: ops.affine(i, matrix=m), (images, matrix)),
    }


def latent_cases():
    B, L, P = (random.randint(1, 5) for _ in range(3))
    mu, logvar, prior_mu, prior_logvar = (normal(B, L) for _ in range(4))
    logits, target, weight = normal(B, P), torch.rand(B, P, dtype=torch.float64), positive(B)
    mask, pos_weight = torch.rand(B, P) < 0.7, positive(P)

    def with_prior(mu, logvar, prior_mu, prior_logvar):
        prior = {"prior_mu": prior_mu, "prior_logvar": prior_logvar}
        return ops.reparameterize_kl(mu, logvar, **prior, seed=3, offset=5, reduction="none")

    def every_option(target, logits, mu, logvar, prior_mu, mask, weight):
        options = {"mask": mask, "sample_weight": weight, "pos_weight": pos_weight}
        return ops.vae_loss(logits, target.clamp(0, 1), mu, logvar, prior_mu=prior_mu, **options)

    def weighed(target, logits, mu, logvar, pos_weight):
        return ops.vae_loss(logits, target.clamp(0, 1), mu, logvar, pos_weight=pos_weight)

    def rows(target, logits, mu, logvar):
        return ops.vae_loss(logits, target, mu, logvar, likelihood="gaussian", reduction="none", beta=0.5)

    return {
        "reparameterize_kl": (lambda *t: ops.reparameterize_kl(*t, seed=3), (mu, logvar)),
        "reparameterize_kl with a prior": (with_prior, (mu, logvar, prior_mu, prior_logvar)),
        "vae_loss": (lambda t, x, *rest: ops.vae_loss(x, t.clamp(0, 1), *rest), (target, logits, mu, logvar)),
        "vae_loss of rows": (rows, (target, logits, mu, logvar)),
        "vae_loss with mapped weights": (weighed, (target, logits, mu, logvar, pos_weight)),
        "vae_loss with options": (every_option, (target, logits, mu, logvar, prior_mu, mask, weight)),
    }


def constant_cases():
    """What has no derivative."""
    N, K, D = random.randint(3, 8), random.randint(1, 3), random.randint(1, 3)
    x, weights, means, spread = normal(N, D), positive(K), normal(K, D), positive(K, D)
    weights, closest = weights / weights.sum(), 9 * positive(N)

    def m_step(n_k, first, second, means, mean_weight):
        statistics = MixtureStatistics(n_k, n_k, first, second)
        return ops.gmm_m_step(statistics, means, "diag", mean_weight=mean_weight)

    def em(x, *parameters):
        *parameters, sample_weight = parameters
        return ops.gmm_em(x, *parameters, "diag", max_iter=4, reg_covar=0.1, sample_weight=sample_weight)

    def update(closest, x, point):
        closest = closest.clone()
        return ops.kmeans_update(closest, x, point), closest

    return {
        "kmeans_step": (lambda x, c, w: ops.kmeans_step(x, c, sample_weight=w), (x, means, positive(N))),
        "kmeans_step without weights": (ops.kmeans_step, (x, means)),
        "kmeans_potentials": (ops.kmeans_potentials, (x, means, closest)),
        "kmeans_update": (update, (closest, x, means[:1])),
        "gmm_m_step": (m_step, (positive(K), 0.1 * normal(K, D), 1 + positive(K, D), means, positive())),
        "gmm_em": (em, (x, weights, means, spread, positive(N))),
    }


def make_cases():
    random.seed(torch.initial_seed())
    mixtures = [mixture_cases(kind, ()) for kind in KINDS] + [
        mixture_cases(kind, (2,)) for kind in ("tied", "spherical")
    ]
    smooth = {name: case for part in (*mixtures, image_cases(), latent_cases()) for name, case in part.items()}
    return smooth, constant_cases()


SMOOTH, CONSTANT = make_cases()
# of each operator one, for what is the same in all of them
FEW = ["gmm_log_prob-full-0", "gmm_e_step-diag-0", "gmm_responsibilities-tied-0", "gmm_statistics-spherical-1",
       "weighted-full-0", "rotate", "rotate by several", "bytes", "affine", "reparameterize_kl with a prior",
       "vae_loss with options", "vae_loss with mapped weights"]  # fmt: skip


def cases_for(kernels):
    """All operators with sizes drawn by chance, others for each set of kernels."""
    torch.manual_seed(sum(kernels.encode()))
    smooth, constant = make_cases()
    return smooth | constant


def results_of(value):
    return [value] if torch.is_tensor(value) else list(value)


def total(function):
    """A curved function of all results that have derivatives."""

    def summed(*tensors):
        results = results_of(function(*tensors))
        if isinstance(results, list) and len(results) == 4:  # of statistics the first
            results = results[:1]
        return sum((1 + i) * r.sin().sum() for i, r in enumerate(results) if r.is_floating_point())

    return summed


def differentiable(name, tensors):
    places = range(4) if name.startswith("weighted") else range(len(tensors))
    places = [place for place in places if tensors[place].is_floating_point()]
    # neither the target nor the weights have derivatives by the kernel
    latents = 4 if name == "vae_loss with options" else 3
    return [place for place in places if 1 <= place <= latents] if name.startswith("vae_loss") else places


def stacked(tensors, dims, size=V):
    """Several of each tensor at its place, with other numbers in them."""
    made = []
    for tensor, dim in zip(tensors, dims, strict=True):
        if dim is None:
            made.append(tensor)
        elif tensor.dtype == torch.bool:
            made.append(torch.stack([tensor.roll(i, -1) for i in range(size)], dim))
        elif tensor.dtype == torch.uint8:
            made.append(torch.stack([tensor // (1 + i) for i in range(size)], dim))
        else:
            made.append(torch.stack([tensor * (1 + 0.1 * i) for i in range(size)], min(dim, tensor.dim())))
    return made


def patterns(tensors):
    """Where the mapped dimension is: in front, second, in one tensor alone, in all but one."""
    count = len(tensors)
    yield (0,) * count
    yield tuple(min(1, t.dim()) for t in tensors)
    for place in range(count):
        yield tuple(min(place % 3, t.dim()) if i == place else None for i, t in enumerate(tensors))
        if count > 1:
            yield tuple(None if i == place else (i + place) % 2 * min(1, t.dim()) for i, t in enumerate(tensors))


def row(tensors, dims, index):
    return [t if dim is None else t.select(dim, index) for t, dim in zip(tensors, dims, strict=True)]


def looped(function, tensors, dims, size=V):
    """What vmap is to find."""
    rows = [results_of(function(*row(tensors, dims, index))) for index in range(size)]
    return [torch.stack(parts) for parts in zip(*rows, strict=True)]


def assert_all_close(found, expected):
    for one, other in zip(results_of(found), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, equal_nan=True)


class Calls(TorchDispatchMode):
    """The operators of latentcore that are called, in order."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.namespace == "latentcore" and operator.name() != "latentcore::gmm_parameter_gradients":
            self.names.append(operator.name().removeprefix("latentcore::"))
        return operator(*args, **(kwargs or {}))
