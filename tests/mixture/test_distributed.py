"""Two processes find what one finds; real processes, started by torchrun."""

import sys

import numpy as np
import pytest
import torch.distributed as dist
from tests.mixture import shards

from children import run_child
from latentcore.mixture import GaussianMixture


@pytest.fixture(scope="module")
def found(once):
    """What each of two processes found, by name."""
    folder = once("shards", fit_by_two)
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(2)]


def fit_by_two(folder):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = run_child([*command, shards.__file__, str(folder)])
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.long
@pytest.mark.parametrize("name", shards.FITS)
def test_two_processes_find_what_one_finds(found, name):
    alone = shards.fitted(name)
    for result in shards.RESULTS:
        first, second = (part[f"{name}/{result}"] for part in found)
        assert np.array_equal(first, second)
        expected = np.asarray(getattr(alone, result))
        # relative to the greatest number of the array: means and covariances have entries that are nearly zero
        rounding = 1e-4 if "float32" in name else 1e-10
        assert np.abs(first - expected).max() <= rounding * np.abs(expected).max()
    if hasattr(alone, "classes_"):
        np.testing.assert_allclose(found[0][f"{name}/table"], alone.component_label_proba_, rtol=1e-8, atol=1e-12)


@pytest.mark.long
def test_one_processs_bad_samples_are_everyones_error(found):
    first, second = ({name: str(part[f"failure/{name}"]) for name in ("NaN", "features", "few")} for part in found)
    assert "got an error in process 1" in first["NaN"]
    assert "NaN or infinity in sample 7" in second["NaN"]
    assert first["features"] == second["features"]
    assert "the number of features: expected the same number in every process, got [3, 2]" in first["features"]
    assert first["few"] == second["few"] == "X: expected at least n_components = 8 samples, got 6"


@pytest.mark.long
def test_without_a_seed_all_processes_still_agree(found):
    assert np.array_equal(found[0]["unseeded"], found[1]["unseeded"])


@pytest.mark.long
def test_an_iteration_sends_sums_only(found):
    K, D = 4, 3
    assert float(found[0]["bytes"]) == 8 * (1 + K + K * D + K * D * D)


def test_a_group_needs_torch_distributed():
    assert not dist.is_initialized()
    with pytest.raises(ValueError, match=r"group: expected a process group of torch\.distributed, got none"):
        GaussianMixture(2).fit(np.zeros((5, 2)), group=object())
