"""The runtime under which CUDA kernels run here must show the faults that a card may hide."""

import harness
import pytest
import torch

SEEDS = range(5)
FAULTS = ["no_barrier", "off_by_one", "race", "wrong_mask", "early_return", "partial_warp", "lost_update"]


def sums(fault, seed):
    harness.seed(seed)
    x = torch.arange(1.0, 301.0)
    found = torch.ops.latentcore_cuda_host_faults.sum(x, fault)
    expected = torch.stack([x[:128].sum(), x[128:256].sum(), x[256:].sum(), x.sum()])
    return found, expected


@pytest.mark.parametrize("seed", SEEDS)
def test_the_right_kernel_is_right_in_every_order(seed):
    found, expected = sums("none", seed)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_as_a_wrong_result_or_an_error(fault):
    caught = 0
    for seed in SEEDS:
        try:
            found, expected = sums(fault, seed)
            caught += not torch.equal(found, expected)
        except RuntimeError:
            caught += 1
    assert caught == len(SEEDS)


@pytest.mark.parametrize(("fault", "message"), [("wrong_mask", "mask"), ("partial_warp", "threads wait for others")])
def test_what_is_undefined_on_a_card_is_an_error(fault, message):
    for seed in SEEDS:
        with pytest.raises(RuntimeError, match=message):
            sums(fault, seed)


def test_an_error_does_not_stay():
    with pytest.raises(RuntimeError):
        sums("wrong_mask", 0)
    test_the_right_kernel_is_right_in_every_order(0)


def test_the_order_changes_with_the_seed():
    results = {tuple(sums("race", seed)[0].tolist()) for seed in SEEDS}
    assert len(results) > 1
    assert torch.equal(*(sums("race", 3)[0] for _ in range(2)))
