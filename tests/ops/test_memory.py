"""What an EM iteration and a whole fit need above their data, seen from outside the process."""

import os
import sys

import pytest

from children import run_child

# the data are made in place: what the peak holds besides would hide as much
DATA = """
import torch
from latentcore.testing import peak_memory_mb

N, K, D = 320_000, 32, 16
x = torch.randn(N, D)
x.view(-1, K, D).add_(9 * torch.randn(K, D))
"""
COPY = 320_000 * 16 * 4 / 2**20  # MB of one more copy of the data, and half of a number for each sample and component

ITERATION = """
from latentcore import ops

weights, means, factors = torch.full((K,), 1 / K), torch.randn(K, D), torch.eye(D).repeat(K, 1, 1)

def iteration(samples):
    return ops.gmm_m_step(ops.gmm_statistics(samples, weights, means, factors), means)

iteration(x[:1000])
before = peak_memory_mb()
iteration(x)
print(peak_memory_mb() - before)
"""

FIT = """
import warnings
from latentcore import GaussianMixture

warnings.simplefilter("ignore")

def fit(samples, n_init):
    GaussianMixture(K, max_iter=2, n_init=n_init, random_state=0).fit(samples)

x = x.numpy()
fit(x[:5000], 2)
before = peak_memory_mb()
fit(x, 1)
print(peak_memory_mb() - before)
fit(x, 2)
print(peak_memory_mb() - before)
"""


def growth(program):
    """MB that each part of the program needed more than had been used before it."""
    # `make asan` keeps what is freed, to see who still uses it: here that would count
    sanitizer = f"{os.environ.get('ASAN_OPTIONS', '')}:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    environment = {**os.environ, "ASAN_OPTIONS": sanitizer}
    command = [sys.executable, "-c", DATA + program]
    done = run_child(command, env=environment)
    assert done.returncode == 0, done.stderr
    return [float(line) for line in done.stdout.split()]


def test_an_em_iteration_needs_no_copy_of_its_samples():
    assert growth(ITERATION)[0] < COPY / 2


@pytest.mark.long
def test_a_fit_needs_less_than_a_copy_of_its_samples():
    """Restarts share the samples; each needs its labels."""
    one, two = growth(FIT)
    assert one < COPY
    assert two < COPY
