"""What an EM iteration needs above its data, seen from outside the process."""

import subprocess
import sys

SCRIPT = """
import resource
import torch
from latentcore import ops

K, D = 32, 16
x = torch.randn(1_000_000, D)
weights, means, factors = torch.full((K,), 1 / K), torch.randn(K, D), torch.eye(D).repeat(K, 1, 1)

def iteration(samples):
    return ops.gmm_m_step(ops.gmm_statistics(samples, weights, means, factors), means)

iteration(x[:1000])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
iteration(x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_an_em_iteration_of_a_million_samples_needs_less_than_64_mb():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 64
