from latentcore.mixture._stream import open_stream as open_stream
from latentcore.mixture.batched import MixtureBatch as MixtureBatch, fit_many as fit_many
from latentcore.mixture.estimator import GaussianMixture as GaussianMixture
from latentcore.mixture.files import load_mixture as load_mixture, save_mixture as save_mixture
from latentcore.mixture.labels import component_label_probabilities as component_label_probabilities
from latentcore.mixture.presets import class_mean_mixture as class_mean_mixture, few_label_mixture as few_label_mixture
from latentcore.mixture.prior import MixturePrior as MixturePrior
from latentcore.mixture.selection import Sweep as Sweep, SweepRow as SweepRow, sweep as sweep
