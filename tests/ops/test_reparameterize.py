import itertools

import pytest
import scipy.stats
import torch
from threads import assert_same_for_any_number_of_threads

from latentcore import ops, reference
from latentcore.ops.reparameterize import first_row, reparameterize_kl
from latentcore.testing import assert_near, assert_near_in_half

SHAPES = [(5,), (3, 1), (4, 7), (2, 3, 33), (0, 2), (3, 0)]


def latents(shape, dtype=torch.float32):
    return [torch.randn(shape).to(dtype).requires_grad_() for _ in range(2)]


def results(function, mu, logvar, seed=5, offset=0):
    seed = torch.tensor(seed) if function is reference.reparameterize_kl else seed
    z, kl = function(mu, logvar, seed=seed, offset=offset)
    total = (z * torch.arange(2, z.numel() + 2).view(z.shape)).sum() + 3 * kl.sum()
    return [z, kl, *torch.autograd.grad(total, (mu, logvar))]


def noise(count, seed=1):
    zeros = torch.zeros(count)
    return ops.reparameterize_kl(zeros, zeros, seed=seed)[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_twin_in_float64(simd, dtype):
    for shape, offset in itertools.product(SHAPES, [0, 3, 2**33 + 1]):
        mu, logvar = latents(shape, dtype)
        wide = [t.detach().double().requires_grad_() for t in (mu, logvar)]
        expected = results(reference.reparameterize_kl, *wide, offset=offset)
        for actual, wanted in zip(results(ops.reparameterize_kl, mu, logvar, offset=offset), expected, strict=True):
            assert_near(actual, wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_err_at_most_twice_as_much_as_torch(simd, dtype):
    mu, logvar = latents((9, 13), dtype)
    wide = [t.detach().double().requires_grad_() for t in (mu, logvar)]
    actual = results(ops.reparameterize_kl, mu, logvar)
    in_half = results(reference.reparameterize_kl, mu, logvar)
    expected = results(reference.reparameterize_kl, *wide)
    for i in (0, 2, 3):
        assert_near_in_half(actual[i], in_half[i], expected[i])
    assert_near(actual[1], expected[1])


def test_noise_is_standard_normal():
    draws = noise(10_000_000)
    count = len(draws)
    probabilities = torch.special.ndtr(draws.sort().values.double())
    steps = torch.arange(count + 1, dtype=torch.float64) / count
    distance = max((steps[1:] - probabilities).max(), (probabilities - steps[:-1]).max())
    # Kolmogorov and Smirnov's test; scipy takes seconds to find the same distance
    assert scipy.stats.kstwobign.sf(float(distance) * count**0.5) > 1e-3
    lanes = draws.view(-1, 4).double()
    correlation = torch.corrcoef(torch.cat([lanes, lanes.square()], 1).t())
    assert (correlation - torch.eye(8)).abs().max() < 5 / lanes.shape[0] ** 0.5


LENGTHS = (2, 7, 300)  # of rows: each has its own way through the registers


def test_splits_do_not_change_a_bit(simd):
    for length in LENGTHS:
        mu, logvar = (t.detach() for t in latents((401, length)))
        z, kl = ops.reparameterize_kl(mu, logvar, seed=3)
        rows = (slice(0, 99), slice(99, 401))
        parts = [ops.reparameterize_kl(mu[b], logvar[b], seed=3, offset=length * b.start) for b in rows]
        assert torch.equal(z, torch.cat([part[0] for part in parts]))
        assert torch.equal(kl, torch.cat([part[1] for part in parts]))


@pytest.mark.alone
def test_threads_do_not_change_a_bit():
    for rows, length in ((9, 7), *((4001, length) for length in LENGTHS)):
        mu, logvar = latents((rows, length))
        assert_same_for_any_number_of_threads(lambda m=mu, v=logvar: results(ops.reparameterize_kl, m, v, seed=3))


def test_compiled_equals_eager():
    mu, logvar = (t.detach() for t in latents((5, 6)))

    def twice(mu, logvar):
        return *ops.reparameterize_kl(mu, logvar, seed=3), *ops.reparameterize_kl(mu, logvar, seed=None)

    torch.manual_seed(4)
    eager = twice(mu, logvar)
    torch.manual_seed(4)
    compiled = torch.compile(twice, fullgraph=True)(mu, logvar)
    assert all(torch.equal(a, b) for a, b in zip(eager, compiled, strict=True))


def test_gradcheck():
    def weighted(mu, logvar):
        return tuple(2.5 * t for t in ops.reparameterize_kl(mu, logvar, seed=3))

    assert torch.autograd.gradcheck(weighted, latents((3, 5), torch.float64))


@pytest.mark.parametrize("shape", [(4, 7), (0, 2)])
def test_opcheck(shape):
    arguments = (*latents(shape), None, None, torch.tensor(3), 2, False)
    torch.library.opcheck(torch.ops.latentcore.reparameterize_kl, arguments)


def test_non_contiguous_input():
    mu, logvar = (t.detach().t() for t in latents((6, 8)))
    actual = ops.reparameterize_kl(mu, logvar, seed=3)
    expected = ops.reparameterize_kl(mu.contiguous(), logvar.contiguous(), seed=3)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_extreme_logvar_behaves_as_in_torch(simd):
    for logvar in (-200.0, 80.0, 89.0, float("inf"), float("-inf"), float("nan")):
        mu, value = torch.zeros(3, 1), torch.full((3, 1), logvar)
        actual = ops.reparameterize_kl(mu, value, seed=3)
        expected = reference.reparameterize_kl(mu, value, seed=torch.tensor(3))
        torch.testing.assert_close(actual, expected, rtol=1e-5, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("error", "name", "change"),
    [
        (TypeError, "mu", {"mu": 1.0}),
        (ValueError, "mu", {"mu": torch.tensor(1.0)}),
        (TypeError, "logvar", {"logvar": torch.zeros(2, 3, dtype=torch.float64)}),
        (ValueError, "logvar", {"logvar": torch.zeros(3)}),
        (ValueError, "offset", {"offset": -1}),
        (TypeError, "offset", {"offset": 1.5}),
        (ValueError, "seed", {"seed": 2**63}),
        (TypeError, "seed", {"seed": torch.tensor(1.0)}),
        (ValueError, "seed", {"seed": torch.tensor([1, 2])}),
    ],
)
def test_errors_name_the_argument(error, name, change):
    with pytest.raises(error, match=f"^{name}: expected"):
        ops.reparameterize_kl(**{"mu": torch.zeros(2, 3), "logvar": torch.zeros(2, 3), **change})


def test_rows_of_a_divided_batch_have_the_noise_of_the_whole():
    mu, logvar = torch.randn(7, 3, 2), torch.randn(7, 3, 2)
    whole, _ = reparameterize_kl(mu, logvar, seed=5)
    for first, last in ((0, 2), (2, 3), (3, 7)):
        with first_row(first):
            part, _ = reparameterize_kl(mu[first:last], logvar[first:last], seed=5)
        assert torch.equal(part, whole[first:last])
    assert torch.equal(reparameterize_kl(mu, logvar, seed=5)[0], whole)
