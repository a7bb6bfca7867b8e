"""The operators that the tests run with CUDA kernels really are those."""

import harness
import pytest
import torch

from latentcore import ops


def test_within_the_context_operators_launch_cuda_kernels_and_outside_they_do_not():
    mu, logvar = torch.randn(3, 2, requires_grad=True), torch.randn(3, 2, requires_grad=True)
    before = harness.launches()
    with harness.kernels():
        sum(r.sum() for r in ops.reparameterize_kl(mu, logvar)).backward()
        assert harness.launches() == before + 2
    sum(r.sum() for r in ops.reparameterize_kl(mu, logvar)).backward()
    assert harness.launches() == before + 2


def test_operators_without_a_kernel_for_the_cpu_launch_theirs_too():
    x, means = torch.randn(20, 2), torch.randn(3, 2)
    before = harness.launches()
    with harness.kernels():
        ops.gmm_em(x, torch.full((3,), 1 / 3), means, torch.ones(3), "spherical", max_iter=7)
    assert harness.launches() == before + 1
    ops.gmm_em(x, torch.full((3,), 1 / 3), means, torch.ones(3), "spherical", max_iter=7)
    assert harness.launches() == before + 1


@pytest.mark.parametrize("operator", harness.operators())
def test_an_operator_has_the_same_schema_as_latentcore_has(operator):
    ours, theirs = (getattr(torch.ops, name) for name in ("latentcore_cuda_host", "latentcore"))
    schemas = [str(getattr(namespace, operator).default._schema) for namespace in (ours, theirs)]
    assert schemas[0].replace("latentcore_cuda_host", "latentcore") == schemas[1]
