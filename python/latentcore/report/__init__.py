"""One self-contained page out of run folders."""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
