"""Results for several numbers of threads."""

import torch


def assert_same_for_any_number_of_threads(everything):
    """`everything()`, a sequence of tensors, has the same bits; to be called by tests that are marked `alone`."""
    before, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(everything())
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            assert torch.equal(one, two)
