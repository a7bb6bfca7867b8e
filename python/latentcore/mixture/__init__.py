"""Gaussian mixtures with scikit-learn's interface, few-label decoding, and their files."""

from latentcore.mixture._stream import open_stream
from latentcore.mixture.batched import MixtureBatch, fit_many
from latentcore.mixture.estimator import GaussianMixture
from latentcore.mixture.files import load_mixture, save_mixture
from latentcore.mixture.labels import component_label_probabilities
from latentcore.mixture.presets import class_mean_mixture, few_label_mixture
from latentcore.mixture.prior import MixturePrior
from latentcore.mixture.selection import Sweep, SweepRow, sweep

__all__ = [
    "GaussianMixture",
    "MixtureBatch",
    "MixturePrior",
    "Sweep",
    "SweepRow",
    "class_mean_mixture",
    "component_label_probabilities",
    "few_label_mixture",
    "fit_many",
    "load_mixture",
    "open_stream",
    "save_mixture",
    "sweep",
]
