"""Gaussian mixtures with scikit-learn's interface, few-label decoding, and their files."""

from latentcore.mixture.estimator import GaussianMixture
from latentcore.mixture.files import load_mixture, save_mixture
from latentcore.mixture.labels import component_label_probabilities
from latentcore.mixture.presets import class_mean_mixture, few_label_mixture

__all__ = [
    "GaussianMixture",
    "class_mean_mixture",
    "component_label_probabilities",
    "few_label_mixture",
    "load_mixture",
    "save_mixture",
]
