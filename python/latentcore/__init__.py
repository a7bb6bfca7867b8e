"""Fused kernels for latent-variable models on PyTorch, and the programs that stand on them."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentcore import models, ops, reference
    from latentcore.mixture import GaussianMixture
    from latentcore.ops import (
        affine,
        gmm_e_step,
        gmm_log_prob,
        gmm_statistics,
        reparameterize_kl,
        rotate,
    )
    from latentcore.ops.vae_loss import vae_loss
    from latentcore.training.runs import load_run

    __version__: str

_OPERATORS = (
    "affine",
    "gmm_e_step",
    "gmm_log_prob",
    "gmm_statistics",
    "reparameterize_kl",
    "rotate",
    "vae_loss",
)
# where each public name lives; torch is imported when the first of them is asked for
_HOMES = dict.fromkeys(_OPERATORS, "latentcore.ops") | {
    "GaussianMixture": "latentcore.mixture",
    "load_run": "latentcore.training.runs",
}
_ROOMS = ("models", "ops", "reference")

__all__ = [
    "GaussianMixture",
    "__version__",
    "affine",
    "gmm_e_step",
    "gmm_log_prob",
    "gmm_statistics",
    "load_run",
    "models",
    "ops",
    "reference",
    "reparameterize_kl",
    "rotate",
    "vae_loss",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("latentcore")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _ROOMS:
        value = import_module(f"latentcore.{name}")
    else:
        raise AttributeError(f"module 'latentcore' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "torch" in sys.modules:  # exported models ask torch for the operators by their names
    import_module("latentcore.ops")
