"""Training: the one loop, its configuration, run folders, and the systems that are built on them."""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
