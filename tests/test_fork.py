"""Forked processes, which have none of the threads that their parent had: they work on one, and never wait."""

import sys

import pytest

from children import run_child

# what parent and child do alike: sizes that are work for more threads than one
WORK = """
import multiprocessing, os, sys
import joblib
import numpy as np
import torch
import latentcore

torch.set_num_threads(2)
X = np.random.default_rng(0).normal(size=(60_000, 4)).astype(np.float32)

def mixture(start):
    fitted = latentcore.GaussianMixture(3, max_iter=5, tol=0, random_state=start).fit(X)
    return fitted.means_, fitted.predict(X), fitted.predict_proba(X)

def step():
    torch.manual_seed(0)
    images = torch.from_numpy(X).view(-1, 400).sigmoid()
    encoder, decoder = torch.nn.Linear(400, 4), torch.nn.Linear(2, 400)
    mu, logvar = encoder(images).chunk(2, 1)
    z, _ = latentcore.reparameterize_kl(mu, logvar, seed=0)
    latentcore.vae_loss(decoder(z), images, mu, logvar).loss.backward()
    return encoder.weight.grad.numpy(), latentcore.rotate(images.view(-1, 1, 20, 20), 30.0).numpy()

def work(start=0):
    return *mixture(start), *step()

def threads(_):
    return torch.get_num_threads()

def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)  # torch's own sums differ with its threads
    return all(np.array_equal(one, other) for one, other in zip(found[:3], expected[:3], strict=True))

expected = [work(start) for start in (0, 1)]
"""

FORK = """
child = os.fork()
if child == 0:
    right = False
    try:
        right = same(work(), expected[0]) and torch.get_num_threads() == 1
    finally:
        os._exit(0 if right else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
assert same(work(), expected[0])
"""

POOL = """
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(work, [0, 1])
    print(int(not all(map(same, found, expected))), pool.map(threads, [0])[0] + 1)
"""

JOBLIB = """
found = joblib.Parallel(n_jobs=2, backend="multiprocessing")(joblib.delayed(work)(start) for start in (0, 1))
print(int(not all(map(same, found, expected))), torch.get_num_threads())
"""


@pytest.mark.parametrize("program", [FORK, POOL, JOBLIB], ids=["fork", "pool", "joblib"])
def test_a_forked_process_fits_predicts_and_trains_as_its_parent_does(program):
    done = run_child([sys.executable, "-c", WORK + program])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "2"], done.stderr
