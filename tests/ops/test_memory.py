"""What an EM iteration and a whole fit need above their data, seen from outside the process."""

import subprocess
import sys

ITERATION = """
import torch
from latentcore import ops
from latentcore.testing import peak_memory_mb

K, D = 32, 16
x = torch.randn(1_000_000, D)
weights, means, factors = torch.full((K,), 1 / K), torch.randn(K, D), torch.eye(D).repeat(K, 1, 1)

def iteration(samples):
    return ops.gmm_m_step(ops.gmm_statistics(samples, weights, means, factors), means)

iteration(x[:1000])
before = peak_memory_mb()
iteration(x)
print(peak_memory_mb() - before)
"""


def test_an_em_iteration_of_a_million_samples_needs_less_than_64_mb():
    done = subprocess.run([sys.executable, "-c", ITERATION], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 64


FIT = """
import warnings
import torch
from latentcore import GaussianMixture
from latentcore.testing import peak_memory_mb

warnings.simplefilter("ignore")
x = (torch.randn(1_000_000, 16) + 9 * torch.randn(32, 16).repeat(31_250, 1)).numpy()

def fit(samples, n_init):
    GaussianMixture(32, max_iter=2, n_init=n_init, random_state=0).fit(samples)

fit(x[:5000], 3)
before = peak_memory_mb()
fit(x, 1)
print(peak_memory_mb() - before)
fit(x, 3)
print(peak_memory_mb() - before)
"""


def test_a_fit_of_a_million_samples_needs_less_than_64_mb():
    """Restarts share the samples; each needs its labels."""
    done = subprocess.run([sys.executable, "-c", FIT], capture_output=True, text=True, check=True)
    one, three = map(float, done.stdout.split())
    assert one < 64
    assert three < 64
