"""Images as they lie in files, checked when they are read: bytes, or floats in [0, 1]; and pairs made of them."""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
