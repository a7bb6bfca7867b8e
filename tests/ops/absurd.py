"""Calls of every operator with tensors that have no elements, or share one, and claim any sizes.

`python absurd.py BACKEND` makes them all with one kind of kernels and says which one it is at, so that a crash has a
name.
"""

import contextlib
import sys

import torch

from latentcore import _native, ops, reference

HUGE = 2**62
SEED = torch.zeros((), dtype=torch.int64)
FILL = torch.zeros((), dtype=torch.float64)
RAW = torch.ops.latentcore


def empty(*sizes):
    return torch.empty(sizes)


def one(*sizes):
    """An element that stands for all."""
    return torch.zeros(1).expand(sizes)


def mixture(kind):
    """Samples and parameters of no mixtures, whose factors are as large as torch lets them be, or a little larger."""
    D = 2**31 if kind in ("full", "tied") else 2**61 - 3
    weights = empty(0, 1)
    return empty(0, 0, D), weights, empty(0, 1, D), empty(0, *reference.covariance_shape(1, D, kind)), kind


def statistics(kind):
    _, n_k, first, second, _ = mixture(kind)
    return reference.MixtureStatistics(empty(0), n_k, first, second), first, kind


def without_weights(kind):
    x, _, *rest = mixture(kind)
    return (x, *rest)


KINDS = ("full", "tied", "diag", "spherical")
LOSS = (1.0, "bernoulli", 1.0, True, True)

# what the functions refuse
PUBLIC = {
    "kmeans_step": lambda: ops.kmeans_step(empty(0, HUGE), empty(0, 1, HUGE).expand(0, 4, HUGE)),
    "kmeans_step, sets": lambda: ops.kmeans_step(empty(0, 1), empty(0, 2**60, 2, 1)),
    "kmeans_potentials": lambda: ops.kmeans_potentials(empty(0, HUGE), one(1, HUGE), empty(0)),
    "kmeans_update": lambda: ops.kmeans_update(empty(0), empty(0, HUGE), one(1, HUGE)),
    **{f"gmm_log_prob, {k}": lambda k=k: ops.gmm_log_prob(*without_weights(k)) for k in KINDS},
    **{f"gmm_e_step, {k}": lambda k=k: ops.gmm_e_step(*mixture(k)) for k in KINDS},
    **{f"gmm_responsibilities, {k}": lambda k=k: ops.gmm_responsibilities(*mixture(k)) for k in KINDS},
    **{f"gmm_statistics, {k}": lambda k=k: ops.gmm_statistics(*mixture(k)) for k in KINDS},
    **{f"gmm_m_step, {k}": lambda k=k: ops.gmm_m_step(*statistics(k)) for k in KINDS},
    "gmm_em": lambda: ops.gmm_em(empty(0, HUGE, 1), empty(0, 1), empty(0, 1, 1), empty(0, 1), "spherical"),
    "reparameterize_kl": lambda: ops.reparameterize_kl(empty(0, HUGE), empty(0, HUGE)),
    "reparameterize_kl, rows": lambda: ops.reparameterize_kl(empty(2**31, 2**30, 0), empty(2**31, 2**30, 0)),
    "vae_loss": lambda: ops.vae_loss(*[empty(0, 2**40, 2**22)] * 2, *[empty(0, 1)] * 2, reduction="none"),
    "vae_loss, latents": lambda: ops.vae_loss(*[empty(0, 1)] * 2, *[empty(0, HUGE)] * 2, reduction="none"),
    "rotate": lambda: ops.rotate(empty(0, 2**10, 2**29, 2**20), 1.0),
    "affine": lambda: ops.affine(empty(0, 2**10, 2**29, 2**20), angle=1.0),
}

# what the operators refuse that have no function or whose results are too large alone
OPERATORS = {
    "kmeans_step, labels": lambda: RAW.kmeans_step(one(2**20, 1), one(2**40, 1, 1), None),
    "gmm_log_prob, results": lambda: RAW.gmm_log_prob(
        empty(0, 2**30, 1), empty(0, 2**20, 1), empty(0, 2**20), "spherical"
    ),
    "gmm_score": lambda: RAW.gmm_score(empty(0), *mixture("diag"), None),
    "gmm_moments": lambda: RAW.gmm_moments(empty(0, 0, 1), *without_weights("spherical")),
    "reparameterize_kl_backward": lambda: RAW.reparameterize_kl_backward(
        empty(0, HUGE), empty(0), empty(0, HUGE), empty(0, HUGE), None, None, SEED, 0, False
    ),
    "vae_loss": lambda: RAW.vae_loss(
        *[empty(0, HUGE)] * 2, *[empty(0, 1)] * 2, *[None] * 5, 1.0, "gaussian", 1.0, False, True
    ),
    "vae_loss_backward": lambda: RAW.vae_loss_backward(
        *[None] * 3, empty(0, HUGE), *[empty(0, 1)] * 2, *[None] * 3, 1.0, False
    ),
    "warp": lambda: RAW.warp(
        empty(2**20, 0, 2**20, 2**20), empty(2**20, 0, 2, 3).double(), FILL, "bilinear", torch.float32
    ),
    "warp, results": lambda: RAW.warp(
        empty(0, 1, 2**20, 2**20), empty(0, 2**10, 2, 3).double(), FILL, "bilinear", torch.float32
    ),
    "warp_backward": lambda: RAW.warp_backward(
        empty(0, 1, 2**10, 2**29, 2**20),
        empty(0, 2**10, 2**29, 2**20),
        empty(0, 1, 2, 3).double(),
        FILL,
        "bilinear",
        True,
        True,
    ),
}

# large sizes that can be counted: an empty result at once, or an error because there is not so much memory
ALLOWED = {
    "kmeans_step": lambda: ops.kmeans_step(empty(0, 2**46), empty(0, 1, 2**46)),
    "kmeans_step, samples": lambda: ops.kmeans_step(one(2**46, 1), one(1, 1)),
    "gmm_statistics": lambda: ops.gmm_statistics(
        empty(0, 0, 2**46), empty(0, 1), empty(0, 1, 2**46), empty(0, 1), "spherical"
    ),
    "gmm_m_step": lambda: RAW.gmm_m_step(
        empty(0, 1), empty(0, 1, 2**23), empty(0, 2**23, 2**23), empty(0, 1, 2**23), "tied", 0.0
    ),
    "gmm_e_step": lambda: ops.gmm_e_step(one(2**45, 2, 1), one(2**45, 1), one(2**45, 1, 1), one(2**45, 1), "spherical"),
    "reparameterize_kl": lambda: ops.reparameterize_kl(empty(2**46, 0), empty(2**46, 0)),
    "vae_loss": lambda: ops.vae_loss(*[empty(2**46, 0)] * 4),
    "vae_loss_backward": lambda: RAW.vae_loss_backward(*[None] * 3, *[empty(2**46, 0)] * 3, *[None] * 3, 1.0, False),
    "rotate": lambda: ops.rotate(empty(5, 0, 2**22, 2**22), 1.0),
    "rotate, images": lambda: ops.rotate(empty(2**46, 0, 1, 1), 1.0),
    "warp_backward": lambda: RAW.warp_backward(
        empty(2**46, 0, 0, 1, 1), empty(2**46, 0, 1, 1), empty(2**46, 0, 2, 3).double(), FILL, "bilinear", True, True
    ),
}


@contextlib.contextmanager
def backend(name):
    if name == "cuda":
        import harness

        with harness.kernels():
            yield
    elif name == "twin":
        found = _native.has_kernel
        _native.has_kernel = lambda *_: False
        try:
            yield
        finally:
            _native.has_kernel = found
    elif name == "fake":
        from torch._subclasses.fake_tensor import FakeTensorMode

        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    else:
        yield


def main(name):
    refused = PUBLIC if name == "twin" else PUBLIC | {f"{n} operator": call for n, call in OPERATORS.items()}
    with backend(name):
        for case, call in refused.items():
            print(case, flush=True)
            try:
                call()
            except (ValueError, RuntimeError) as error:
                if "expected sizes with a product of at most 2^47" not in str(error):
                    sys.exit(f"{case}: {error}")
            else:
                sys.exit(f"{case}: nothing was refused")
        for case, call in ALLOWED.items() if name in ("cpu", "cuda") else ():
            print(case, flush=True)
            with contextlib.suppress(RuntimeError):
                call()


if __name__ == "__main__":
    main(sys.argv[1])
