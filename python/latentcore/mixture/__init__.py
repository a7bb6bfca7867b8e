"""Gaussian mixtures with scikit-learn's interface, few-label decoding, and their files."""

from latentcore._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
