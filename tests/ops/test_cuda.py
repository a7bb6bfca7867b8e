"""CUDA kernels against the CPU's: on a card where torch sees one, else as `tests/cuda_host` runs them."""

import contextlib
import itertools

import harness
import pytest
import torch

from latentcore import _native, ops, reference
from latentcore.testing import relative_error

pytestmark = pytest.mark.skipif(
    not (harness.ENABLED or torch.cuda.is_available()), reason="neither a card nor the runtime that stands for one"
)
on_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
# norm of the difference over the norm
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]


def both(function, *tensors, tolerance=None):
    """Results and gradients of the CUDA kernels equal the CPU's."""
    card = torch.cuda.is_available()
    results = []
    for device, kernels in (("cpu", contextlib.nullcontext()), ("cuda" if card else "cpu", harness.kernels())):
        inputs = [t.detach().to(device).requires_grad_(t.requires_grad) for t in tensors]
        with contextlib.nullcontext() if card else kernels:
            found = [r for r in function(*inputs) if r.is_floating_point() or not r.requires_grad]
            loss = sum((r.double() * (1 + i)).sum() for i, r in enumerate(found) if r.requires_grad)
            leaves = [t for t in inputs if t.requires_grad]
            grads = torch.autograd.grad(loss, leaves) if leaves else []
        results.append([r.detach().cpu() for r in (*found, *grads)])
    for cpu, cuda in zip(*results, strict=True):
        assert cuda.dtype == cpu.dtype
        assert cuda.shape == cpu.shape
        assert relative_error(cuda, cpu) <= (tolerance or TOLERANCE[cpu.dtype])


@on_a_card
def test_the_library_is_loaded():
    assert _native.cuda_library.loaded, str(_native.cuda_library)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reparameterize_kl(dtype):
    for shape, offset in itertools.product([(1, 1), (7, 2), (5, 3, 9), (33, 20), (12, 129), (2, 5000)], [5, 8]):
        mu, logvar = (torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(2))
        both(lambda m, v, at=offset: ops.reparameterize_kl(m, v, seed=3, offset=at), mu, logvar)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("bytes_", [False, True])
def test_vae_loss(dtype, likelihood, bytes_):
    options = {"beta": 0.7, "likelihood": likelihood, "scale": 0.5}
    for shape, reduction in itertools.product([(1, 1), (5, 784), (4, 3, 7, 9), (2, 5000)], ["mean", "none"]):
        logits = torch.randn(shape, dtype=dtype, requires_grad=True)
        target = torch.randint(0, 256, shape, dtype=torch.uint8) if bytes_ else torch.rand(shape, dtype=dtype)
        mu, logvar = (torch.randn(shape[0], 6, dtype=dtype, requires_grad=True) for _ in range(2))
        both(lambda *a, r=reduction: ops.vae_loss(*a, **options, reduction=r), logits, target, mu, logvar)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reparameterize_kl_with_a_prior(dtype):
    for shape, reduction in itertools.product([(1, 1), (7, 2), (33, 20), (2, 5000)], ["sum", "none"]):
        tensors = [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(4)]

        def call(mu, logvar, prior_mu, prior_logvar, reduction=reduction):
            prior = {"prior_mu": prior_mu, "prior_logvar": prior_logvar}
            return ops.reparameterize_kl(mu, logvar, **prior, seed=3, reduction=reduction)

        both(call, *tensors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_vae_loss_with_every_option(dtype, likelihood):
    for shape, reduction in itertools.product([(3, 1), (5, 784), (4, 3, 7, 9), (2, 5000)], ["mean", "none"]):
        options = {"likelihood": likelihood, "reduction": reduction}
        logits = torch.randn(shape, dtype=dtype, requires_grad=True)
        target = torch.rand(shape, dtype=dtype)
        mask, sample_weight, pos_weight = torch.rand(shape) < 0.7, torch.rand(shape[0]) + 0.1, torch.rand(shape[1:])
        latents = [torch.randn(shape[0], 6, dtype=dtype, requires_grad=True) for _ in range(4)]

        def call(logits, target, mask, weight, positive, mu, logvar, prior_mu, prior_logvar, options=options):
            weights = {"mask": mask, "sample_weight": weight}
            if options["likelihood"] == "bernoulli":
                weights["pos_weight"] = positive
            prior = {"prior_mu": prior_mu, "prior_logvar": prior_logvar}
            return ops.vae_loss(logits, target, mu, logvar, **prior, **weights, **options)

        both(call, logits, target, mask, sample_weight, pos_weight, *latents)


# up to 2, 4 and 8 dimensions samples stay in registers, with the sums of all components or of some; then come tiles of
# 128, 64 and 32 samples
MIXTURES = [
    *((1, 1, 1), (150, 4, 2), (70, 13, 2), (70, 3, 3), (150, 2, 5), (70, 3, 7)),
    *((140, 2, 19), (70, 2, 40), (40, 2, 70)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_mixture(dtype, covariance_type):
    # the half types differ in how samples are read alone: each has every other size
    chosen = {torch.float16: MIXTURES[::2], torch.bfloat16: MIXTURES[1::2]}.get(dtype, MIXTURES)
    for sizes in chosen:
        assert_same_mixture(sizes, covariance_type, dtype, batch=() if sizes == MIXTURES[4] else (2,))


def assert_same_mixture(sizes, covariance_type, dtype, batch):
    N, K, D = sizes
    x, means = (torch.randn(*batch, n, D).to(dtype).requires_grad_() for n in (N, K))
    weights = torch.rand(*batch, K).softmax(-1).to(dtype).requires_grad_()
    factors = 0.3 * torch.randn(*batch, *reference.covariance_shape(K, D, covariance_type))
    factors = factors.abs() + 0.3 if covariance_type in ("diag", "spherical") else factors + 1.5 * torch.eye(D)
    parameters = [weights, means, factors.to(dtype).requires_grad_()]
    weight = torch.rand(*batch, N).to(dtype)
    weight[..., :1] = 0

    def outputs(x, *parameters):
        found = [ops.gmm_log_prob(x, *parameters[1:], covariance_type)]
        found += ops.gmm_e_step(x, *parameters, covariance_type)
        found.append(ops.gmm_responsibilities(x, *parameters, covariance_type))
        return found + list(ops.gmm_statistics(x, *parameters, covariance_type, sample_weight=weight.to(x.device)))

    both(outputs, x, *parameters, tolerance=5e-5 if dtype == torch.float32 else None)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("sizes", [(50, 1, 1), (300, 3, 5), (400, 2, 40)], ids=str)
def test_m_step(covariance_type, sizes):
    N, K, D = sizes
    x, means = torch.randn(2, N, D).double(), torch.randn(2, K, D).double()
    resp = torch.rand(2, N, K).double().softmax(-1)
    first, second = reference.centred_moments(x, resp, means, covariance_type)
    likelihood = torch.zeros(2, dtype=torch.float64)
    both(
        lambda *a: ops.gmm_m_step(reference.MixtureStatistics(*a[:4]), a[4], covariance_type, reg_covar=1e-3),
        *(likelihood, resp.sum(-2), first, second, means),
        tolerance=1e-9,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_em(dtype, covariance_type):
    options = {"max_iter": 4, "tol": 0.0, "reg_covar": 0.1}
    for N, K, D in ((70, 1, 1), (90, 4, 2), (80, 13, 3), (60, 3, 7), (40, 2, 11)):
        factors = torch.ones(2, *reference.covariance_shape(K, D, covariance_type))
        if covariance_type in ("full", "tied"):
            factors = factors.triu().tril()
        both(
            lambda *a: [r.nan_to_num() for r in ops.gmm_em(*a, covariance_type, **options)],
            *(torch.randn(2, N, D).to(dtype), torch.full((2, K), 1 / K), torch.randn(2, K, D), factors),
            tolerance=1e-9 if dtype == torch.float64 else 2e-5,
        )


@pytest.mark.parametrize("dtype", [*DTYPES, torch.uint8])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_rotate(dtype, interpolation):
    for shape in ((3, 1, 28, 28), (2, 3, 9, 70), (1, 2, 130, 120)):
        assert_same_rotation(dtype, shape, interpolation)


def assert_same_rotation(dtype, shape, interpolation):
    images = torch.rand(shape).mul(255).to(dtype) if dtype == torch.uint8 else torch.rand(shape, dtype=dtype)
    angle = torch.rand(shape[0], 3, dtype=torch.float64) * 360
    if interpolation == "bilinear" and dtype != torch.uint8:
        images.requires_grad_()
        angle.requires_grad_()
    # coordinates are float32 on the CPU
    tolerance = 1e-5 if dtype in (torch.float32, torch.float64) else 2e-2
    both(
        lambda i, a: (ops.rotate(i, a, interpolation=interpolation, fill=0.3).to(torch.float32),),
        images,
        angle,
        tolerance=tolerance,
    )


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
@pytest.mark.parametrize("sizes", [(130, 2, 40), (1100, 2, 20), (17000, 1, 9), (5000, 3, 2)], ids=str)
def test_statistics_of_many_samples(covariance_type, sizes):
    """Sums over several tiles, carried over to double, and over several stretches."""
    N, K, D = sizes
    factors = torch.ones(reference.covariance_shape(K, D, covariance_type))
    if covariance_type in ("full", "tied"):
        factors = factors.triu()
    tensors = torch.randn(N, D), torch.full((K,), 1 / K), torch.randn(K, D), 0.5 * factors
    both(lambda *a: ops.gmm_statistics(*a, covariance_type), *tensors)


@on_a_card
def test_a_stream_of_our_own():
    mu, logvar = torch.randn(1000, 64, device="cuda"), torch.randn(1000, 64, device="cuda")
    expected = ops.reparameterize_kl(mu, logvar, seed=1)[0]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        z, _ = ops.reparameterize_kl(mu, logvar, seed=1)
    stream.synchronize()
    assert torch.equal(z, expected)


@on_a_card
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


@on_a_card
def test_mixtures_in_a_cuda_graph():
    x, weights = torch.randn(3000, 2, device="cuda"), torch.full((3,), 1 / 3, device="cuda")
    means, factors = torch.randn(3, 2, device="cuda"), torch.eye(2, device="cuda").repeat(3, 1, 1)

    def work():
        statistics = ops.gmm_statistics(x, weights, means, factors)
        return [*statistics, *ops.gmm_m_step(statistics, means), *ops.gmm_e_step(x, weights, means, factors)]

    work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = work()
    x.mul_(1.5)
    graph.replay()
    for replayed, expected in zip(found, work(), strict=True):
        assert torch.equal(replayed, expected)
