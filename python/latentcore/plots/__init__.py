"""Functions that take arrays and return a matplotlib figure."""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
