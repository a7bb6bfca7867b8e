"""Forked processes, which have none of the threads that their parent had: they begin with one, and never wait."""

import os
import sys

import pytest

from children import run_child
from depth import few

# what parent and child do alike: sizes that are work for more threads than one
WORK = """
import multiprocessing, os, sys
import joblib
import numpy as np
import threadpoolctl
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


@pytest.mark.parametrize("program", few([FORK, POOL, JOBLIB]), ids=["fork", "pool", "joblib"])
def test_a_forked_process_fits_predicts_and_trains_as_its_parent_does(program):
    done = run_child([sys.executable, "-c", WORK + program])
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "2"], done.stderr


# what a forked process may do about its threads; each must come to two of them
RAISED = {
    "torch": "torch.set_num_threads(2)",
    "threadpoolctl": "limits = threadpoolctl.threadpool_limits(2)",
}

AFTER_A_FIT = """
child = os.fork()
if child == 0:
    right = False
    try:
        {raised}
        right = torch.get_num_threads() == 2 and same(work(), expected[0])
        right = right and torch.linalg.svdvals(torch.rand(300, 300)).isfinite().all()
        grandchild = os.fork()  # which may leave its parent's threads alone, too
        if grandchild == 0:
            {raised}
            os._exit(0 if same(work(), expected[0]) else 1)
        right = right and os.waitpid(grandchild, 0)[1] == 0
    finally:
        os._exit(0 if right else 1)
assert os.waitpid(child, 0)[1] == 0
assert same(work(), expected[0])
"""


@pytest.mark.parametrize("way", few(RAISED))
def test_a_forked_process_may_have_more_threads(way):
    done = run_child([sys.executable, "-c", WORK + AFTER_A_FIT.format(raised=RAISED[way])])
    assert done.returncode == 0, done.stderr


# latentcore, new in a process that was forked; `alone` waits for the parent to end
FIRST_IN_A_CHILD = """
import os, sys, time

def use():
    import torch

    torch.set_num_threads(2)
    return float(torch.rand(2_000_000).exp().sum())

def child(alone=False):
    parent = os.getppid()
    while alone and os.getppid() == parent:
        time.sleep(0.01)
    import torch
    import latentcore
    from latentcore.mixture import GaussianMixture
    from latentcore.ops import rotate

    X = torch.randn(60_000, 4)
    images = X.view(-1, 1, 20, 20)
    fitted = GaussianMixture(3, max_iter=5, tol=0, random_state=0).fit(X)
    rotate(images, 30.0).sum()
    threads, errors = torch.get_num_threads(), []
    torch.set_num_threads(2)
    for work in (lambda: fitted.predict(X), lambda: rotate(images, 30.0)):
        try:
            work()
        except RuntimeError as error:
            errors.append(str(error))
    print(threads, errors, flush=True)

def fork(*arguments, wait=True):
    process = os.fork()
    if process == 0:
        child(*arguments)
        os._exit(0)
    if wait:
        assert os.waitpid(process, 0)[1] == 0
"""
BEFORE_LATENTCORE = {
    "fork": "use(); fork()",
    "multiprocessing": """
import multiprocessing
use()
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
""",
    "an orphan": "use(); fork(True, wait=False)",
    "a grandchild": """
use()
process = os.fork()
if process == 0:
    fork()
    os._exit(0)
os.waitpid(process, 0)
""",
    "C": """
import ctypes
import latentcore.ops
use()
process = ctypes.PyDLL(None).fork()
if process == 0:
    ctypes.pythonapi.PyOS_AfterFork_Child()
    child()
    os._exit(0)
os.waitpid(process, 0)
""",
}


@pytest.mark.parametrize("way", few(BEFORE_LATENTCORE))
def test_without_latentcore_before_the_fork_more_threads_are_an_error(way):
    done = run_child([sys.executable, "-c", FIRST_IN_A_CHILD + BEFORE_LATENTCORE[way]])
    assert done.returncode == 0, done.stderr
    threads, errors = done.stdout.split(maxsplit=1)
    assert threads == "1"
    assert errors.count("expected torch.set_num_threads(1), got 2 threads") == 2


@pytest.mark.long
@pytest.mark.parametrize("program", ["fork()", "import numpy; fork()"], ids=["python", "numpy"])
def test_threads_of_its_own_are_no_error(program):
    """Torch is new in the process, too."""
    done = run_child([sys.executable, "-c", FIRST_IN_A_CHILD + program], env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "[]"]
