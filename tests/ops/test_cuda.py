"""CUDA kernels against the CPU's; they run where torch sees a GPU."""

import pytest
import torch

from latentcore import _native, ops

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 1e-3, torch.bfloat16: 8e-3}


def on_cuda(*tensors):
    return [t.detach().cuda().requires_grad_(t.requires_grad) for t in tensors]


def test_the_library_is_loaded():
    assert _native.cuda_library.loaded, str(_native.cuda_library)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (7, 2), (5, 3, 9), (33, 20), (12, 129), (2, 5000)])
def test_reparameterize_kl_equals_the_cpu(dtype, shape):
    mu = torch.randn(shape, dtype=dtype, requires_grad=True)
    logvar = torch.randn(shape, dtype=dtype, requires_grad=True)
    results = []
    for inputs in ([mu, logvar], on_cuda(mu, logvar)):
        z, kl = ops.reparameterize_kl(*inputs, seed=3, offset=5)
        ((z * torch.linspace(0, 1, shape[-1], dtype=dtype, device=z.device)).sum() + 2 * kl.sum()).backward()
        results.append([z, kl, *(i.grad for i in inputs)])
    for cpu, cuda in zip(*results, strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * 10)


def test_a_stream_of_our_own():
    mu, logvar = torch.randn(1000, 64, device="cuda"), torch.randn(1000, 64, device="cuda")
    expected = ops.reparameterize_kl(mu, logvar, seed=1)[0]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        z, _ = ops.reparameterize_kl(mu, logvar, seed=1)
    stream.synchronize()
    assert torch.equal(z, expected)


def test_a_cuda_graph_replays_with_a_new_seed():
    mu, logvar = torch.randn(256, 32, device="cuda"), torch.randn(256, 32, device="cuda")
    seed = torch.zeros((), dtype=torch.int64, device="cuda")
    ops.reparameterize_kl(mu, logvar, seed=seed)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        z, kl = ops.reparameterize_kl(mu, logvar, seed=seed)
    seed.fill_(7)
    graph.replay()
    expected_z, expected_kl = ops.reparameterize_kl(mu, logvar, seed=7)
    assert torch.equal(z, expected_z)
    assert torch.equal(kl, expected_kl)
