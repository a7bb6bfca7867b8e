"""Questions asked of trained systems, a file each."""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
