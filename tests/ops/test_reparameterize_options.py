"""reparameterize_kl with a prior of its own, the divergence of every latent, generators, and several seeds."""

import itertools

import pytest
import torch
from threads import assert_same_for_any_number_of_threads

from depth import few
from latentcore import ops, reference
from latentcore.testing import assert_near, assert_near_in_half

RAW = torch.ops.latentcore
SHAPES = [(5,), (3, 1), (4, 7), (2, 3, 33), (5, 300), (0, 2), (3, 0)]
PRIORS = [("prior_mu", "prior_logvar"), (), ("prior_mu",), ("prior_logvar",)]
with_priors = pytest.mark.parametrize("names", PRIORS, ids="+".join)
shortly = pytest.mark.parametrize("names", few(PRIORS), ids="+".join)


def latents(shape, names, dtype=torch.float32):
    keys = ("mu", "logvar", *names)
    return {key: torch.randn(shape).to(dtype).requires_grad_() for key in keys}


def results(function, tensors, seed=5, **options):
    seed = torch.tensor(seed) if function is reference.reparameterize_kl else seed
    z, kl = function(**tensors, seed=seed, **options)
    total = (z * torch.arange(2, z.numel() + 2).view(z.shape)).sum()
    total = total + (kl * torch.arange(3, kl.numel() + 3).view(kl.shape)).sum()
    return [z, kl, *torch.autograd.grad(total, list(tensors.values()))]


def as_double(tensors):
    return {key: t.detach().double().requires_grad_() for key, t in tensors.items()}


@with_priors
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_twin_in_float64(simd, dtype, names):
    for shape, offset, reduction in itertools.product(SHAPES, [0, 3], ["sum", "none"]):
        tensors, options = latents(shape, names, dtype), {"offset": offset, "reduction": reduction}
        expected = results(reference.reparameterize_kl, as_double(tensors), **options)
        for actual, wanted in zip(results(ops.reparameterize_kl, tensors, **options), expected, strict=True):
            assert_near(actual, wanted)


@with_priors
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_err_at_most_twice_as_much_as_torch(simd, dtype, names):
    tensors = latents((9, 13), names, dtype)
    for reduction in ("sum", "none"):
        actual = results(ops.reparameterize_kl, tensors, reduction=reduction)
        in_half = results(reference.reparameterize_kl, tensors, reduction=reduction)
        expected = results(reference.reparameterize_kl, as_double(tensors), reduction=reduction)
        assert_near(actual[1], expected[1])
        for i in (0, *range(2, len(actual))):
            assert_near_in_half(actual[i], in_half[i], expected[i])


def test_it_is_torchs_divergence_of_two_normals(backend):
    mu, logvar, prior_mu, prior_logvar = torch.randn(4, 6, 5, dtype=torch.float64)
    posterior, prior = (
        torch.distributions.Normal(m, (0.5 * v).exp()) for m, v in ((mu, logvar), (prior_mu, prior_logvar))
    )
    expected = torch.distributions.kl_divergence(posterior, prior)
    prior = {"prior_mu": prior_mu, "prior_logvar": prior_logvar}
    assert_near(ops.reparameterize_kl(mu, logvar, **prior, reduction="none")[1], expected)
    assert_near(ops.reparameterize_kl(mu, logvar, **prior)[1], expected.sum(-1))
    assert ops.reparameterize_kl(mu, logvar, prior_mu=mu, prior_logvar=logvar)[1].tolist() == [0] * 6


def test_a_prior_does_not_change_the_samples(simd):
    tensors = latents((67, 33), PRIORS[0])
    plain = {key: tensors[key] for key in ("mu", "logvar")}
    of_each = results(ops.reparameterize_kl, plain, reduction="none")
    assert torch.equal(of_each[0], results(ops.reparameterize_kl, plain)[0])
    assert torch.equal(of_each[0], results(ops.reparameterize_kl, tensors)[0])


def test_free_bits():
    """A latent whose divergence is below the free one has no gradient of it."""
    mu, logvar = torch.tensor([[0.1, 2.0]], requires_grad=True), torch.zeros(1, 2)
    _, kl = ops.reparameterize_kl(mu, logvar, seed=0, reduction="none")
    kl.mean(0).clamp_min(0.5).sum().backward()
    assert mu.grad.tolist() == [[0.0, 2.0]]


def test_a_prior_broadcasts():
    tensors = latents((2, 3, 4), ())
    prior = {"prior_mu": torch.randn(4, requires_grad=True), "prior_logvar": torch.randn(3, 1, requires_grad=True)}
    wide = {key: t.detach().expand(2, 3, 4).clone().requires_grad_() for key, t in prior.items()}
    z, kl, *gradients = results(ops.reparameterize_kl, {**tensors, **prior})
    wide_z, wide_kl, *wide_gradients = results(ops.reparameterize_kl, {**tensors, **wide})
    assert torch.equal(z, wide_z)
    assert torch.equal(kl, wide_kl)
    assert_near(gradients[2], wide_gradients[2].sum((0, 1)))
    assert_near(gradients[3], wide_gradients[3].sum((0, 2))[:, None])


@shortly
def test_gradcheck_of_both_orders(names):
    tensors = latents((3, 4), names, torch.float64)

    def both(reduction):
        def call(*values):
            return ops.reparameterize_kl(**dict(zip(tensors, values, strict=True)), seed=3, reduction=reduction)

        return call

    for reduction in ("sum", "none"):
        assert torch.autograd.gradcheck(both(reduction), tuple(tensors.values()))
        assert torch.autograd.gradgradcheck(both(reduction), tuple(tensors.values()))


@pytest.mark.parametrize("names", few(PRIORS[:2]), ids="+".join)
@pytest.mark.parametrize("per_latent", [False, True])
def test_opcheck(names, per_latent):
    for shape, seeds in (((4, 7), [3]), ((0, 2), [3]), ((4, 7), [3, 4])):
        tensors = latents(shape, PRIORS[0] if names else ())
        optional = [tensors.get(key) for key in ("prior_mu", "prior_logvar")]
        arguments = (tensors["mu"], tensors["logvar"], *optional, torch.tensor(seeds), 2, per_latent)
        torch.library.opcheck(RAW.reparameterize_kl, arguments)


@shortly
def test_compiled_equals_eager(names):
    torch.compiler.reset()  # dynamo counts how often one function is compiled
    tensors = latents((5, 6), names)
    for reduction in ("sum", "none"):
        eager = results(ops.reparameterize_kl, tensors, reduction=reduction)
        compiled = results(torch.compile(ops.reparameterize_kl, fullgraph=True), tensors, reduction=reduction)
        assert all(torch.equal(a, b) for a, b in zip(eager, compiled, strict=True))


@pytest.mark.alone
def test_threads_do_not_change_a_bit():
    tensors = latents((4001, 7), PRIORS[0])
    for reduction in ("sum", "none"):
        assert_same_for_any_number_of_threads(lambda r=reduction: results(ops.reparameterize_kl, tensors, reduction=r))


@pytest.mark.parametrize("L", [1, 3, 8, 300])
@pytest.mark.parametrize("offset", [0, 5])
def test_each_seed_gives_its_part_the_noise_that_it_has_alone(simd, L, offset):
    mu, logvar, grad_z = torch.randn(3, 6, 4, L)
    grad_kl, seeds = torch.randn(6, 4), torch.tensor([3, -7, 2**40])
    z, kl = RAW.reparameterize_kl(mu, logvar, None, None, seeds, offset, False)
    found = RAW.reparameterize_kl_backward(grad_z, grad_kl, mu, logvar, None, None, seeds, offset, False)
    for part, seed in zip((slice(0, 2), slice(2, 4), slice(4, 6)), seeds, strict=True):
        alone = RAW.reparameterize_kl(mu[part], logvar[part], None, None, seed, offset, False)
        assert torch.equal(z[part], alone[0])
        assert torch.equal(kl[part], alone[1])
        wanted = RAW.reparameterize_kl_backward(
            grad_z[part], grad_kl[part], mu[part], logvar[part], None, None, seed, offset, False
        )
        assert all(torch.equal(a[part], b) for a, b in zip(found[:2], wanted[:2], strict=True))


def test_a_generator_governs_the_seed():
    mu = torch.zeros(3, 2)
    state = torch.get_rng_state()
    first, second, again = (
        ops.reparameterize_kl(mu, mu, generator=torch.Generator().manual_seed(seed))[0] for seed in (1, 2, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    generator = torch.Generator().manual_seed(1)
    draws = [ops.reparameterize_kl(mu, mu, generator=generator)[0] for _ in range(2)]
    assert torch.equal(draws[0], first)
    assert not torch.equal(draws[1], first)


@pytest.mark.parametrize(
    ("error", "name", "change"),
    [
        (TypeError, "prior_mu", {"prior_mu": 0.0}),
        (TypeError, "prior_mu", {"prior_mu": torch.zeros(2, 3, dtype=torch.float64)}),
        (ValueError, "prior_mu", {"prior_mu": torch.zeros(4)}),
        (ValueError, "prior_logvar", {"prior_logvar": torch.zeros(5, 2, 3)}),
        (ValueError, "prior_logvar", {"prior_logvar": torch.zeros(2, 3, device="meta")}),
        (TypeError, "generator", {"generator": 3}),
        (ValueError, "generator", {"generator": torch.Generator(), "seed": 1}),
        (ValueError, "reduction", {"reduction": "mean"}),
    ],
)
def test_errors_name_the_argument(error, name, change):
    with pytest.raises(error, match=f"^{name}: expected"):
        ops.reparameterize_kl(**{"mu": torch.zeros(2, 3), "logvar": torch.zeros(2, 3), **change})
