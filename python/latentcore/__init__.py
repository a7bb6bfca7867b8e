"""Fused kernels for latent-variable models on PyTorch, and the programs that stand on them."""

import sys
from importlib import import_module
from typing import Any

from latentcore._lazy import attach

_named, __dir__, __all__ = attach(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("latentcore")
    return _named(name)


if "torch" in sys.modules:  # exported models ask torch for the operators by their names
    import_module("latentcore.ops")
