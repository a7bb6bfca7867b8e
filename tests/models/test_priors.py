"""Priors of VAEs, and what asks them: the objective, the samples of a run."""

import copy
import pickle
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from latentcore import ops
from latentcore.models import (
    VAE,
    Autoencoder,
    AutoencoderConfig,
    Mixture,
    MLPConfig,
    Posterior,
    Prior,
    StandardNormal,
    VAEConfig,
)
from latentcore.report.explorer import explorer
from latentcore.testing import assert_near
from latentcore.training import TrainConfig, fit, gradients
from latentcore.training.recorded import Recorded
from latentcore.training.run import CodingRun

CONFIG = VAEConfig(image_shape=(1, 12, 12), latent=3, network=MLPConfig(hidden=(16,), decoder_hidden=(16,)))


class Shifted(Prior):
    """N(m, s²), which is learned, and gives its density and samples alone."""

    def __init__(self, mean=(0.5, -1.0, 2.0), scale=0.7):
        super().__init__()
        self.mean, self.log_scale = nn.Parameter(torch.tensor(mean)), nn.Parameter(torch.tensor(scale).log())

    def log_prob(self, z):
        return Normal(self.mean, self.log_scale.exp(), validate_args=False).log_prob(z).sum(1)

    def sample(self, n, generator=None):
        return self.mean + self.log_scale.exp() * torch.randn(n, len(self.mean), generator=generator)


class AnyOther(StandardNormal):
    """N(0, I), of which nobody knows."""

    standard = False


class ShiftedVAE(VAE):
    def __init__(self, config):
        super().__init__(config)
        self.prior = Shifted()


class MixtureVAE(VAE):
    def __init__(self, config):
        super().__init__(config)
        self.prior = Mixture(config.latent, components=4)


def posterior_of(mu, logvar, seed=0):
    z, kl = ops.reparameterize_kl(mu, logvar, seed=seed)
    return Posterior(mu, logvar, z, kl)


def run_of(model):
    return CodingRun(None, {"system": "a test"}, None, model)


def weights_of(model):
    return [value for value in model.state_dict().values() if isinstance(value, torch.Tensor)]


def test_the_standard_normal_prior():
    prior, z = StandardNormal(5), torch.randn(7, 5, dtype=torch.float64)
    assert_near(prior.log_prob(z), Normal(0, 1).log_prob(z).sum(1))
    assert prior.log_prob(z.bfloat16()).dtype == torch.float32
    drawn = prior.sample(4, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, torch.randn(4, 5, generator=torch.Generator().manual_seed(3)))
    q = posterior_of(torch.randn(4, 5), torch.randn(4, 5))
    assert prior.kl(q) is q.kl


def test_the_divergence_from_one_sample_is_right_in_expectation():
    prior, count = Shifted(), 40_000
    mu, logvar = torch.tensor([[0.3, -0.5, 1.0]]), torch.tensor([[-1.0, 0.2, -2.0]])
    found = prior.kl(posterior_of(mu.expand(count, 3), logvar.expand(count, 3))).detach()
    exact = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(prior.mean, prior.log_scale.exp())).sum().detach()
    assert float(found.mean()) == pytest.approx(float(exact), abs=4 * float(found.std()) / count**0.5)
    assert found.std() > 0.1  # it is no exact one


def test_its_gradient_is_right_in_expectation():
    prior, count = Shifted(), 40_000
    mu, logvar = (torch.tensor(v, requires_grad=True) for v in ([[0.3, -0.5, 1.0]], [[-1.0, 0.2, -2.0]]))
    learned = [mu, logvar, *prior.parameters()]
    kl = prior.kl(posterior_of(mu.expand(count, 3).contiguous(), logvar.expand(count, 3).contiguous())).mean()
    exact = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(prior.mean, prior.log_scale.exp())).sum()
    for found, expected in zip(torch.autograd.grad(kl, learned), torch.autograd.grad(exact, learned), strict=True):
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0.03)


def test_near_the_standard_normal_prior_it_does_not_vary():
    class Same(Prior):
        def log_prob(self, z):
            return StandardNormal(3).log_prob(z)

        def sample(self, n, generator=None):
            return StandardNormal(3).sample(n, generator)

    q = posterior_of(torch.randn(9, 3), torch.randn(9, 3))
    assert_near(Same().kl(q), q.kl)


def test_a_subclass_with_methods_of_its_own_is_no_standard_one():
    class FreeBits(StandardNormal):
        def kl(self, q):
            return q.kl.clamp_min(2.0)

    class Documented(StandardNormal):
        """The same in all but name."""

    assert (FreeBits.standard, Documented.standard, AnyOther.standard, Shifted.standard) == (False, True, False, False)
    model = VAE(CONFIG)
    model.prior = FreeBits(3)
    assert model.objective()(model, (torch.rand(4, 1, 12, 12),) * 2, beta=1.0, seed=0).kl >= 2


def test_a_density_for_each_axis_is_an_error():
    class Wrong(Shifted):
        def log_prob(self, z):
            return Normal(self.mean, 1.0).log_prob(z)

    with pytest.raises(ValueError, match=r"Wrong.log_prob\(z\): expected shape \(4,\), got \(4, 3\)"):
        Wrong().kl(posterior_of(torch.zeros(4, 3), torch.zeros(4, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_both_ways_to_the_loss_agree(dtype, likelihood):
    model = VAE(replace(CONFIG, likelihood=likelihood)).to(dtype)
    batch = torch.rand(6, 1, 12, 12, dtype=dtype), torch.randint(0, 256, (6, 1, 12, 12), dtype=torch.uint8)

    def terms_and_gradients():
        model.zero_grad()
        terms = model.objective()(model, batch, beta=torch.tensor([0.3]), seed=5)
        terms.loss.backward()
        return [*terms, *(parameter.grad for parameter in model.parameters())]

    fused = terms_and_gradients()
    model.prior = AnyOther(3)
    for one, other in zip(terms_and_gradients(), fused, strict=True):
        assert one.dtype == dtype
        assert_near(one, other, tolerance=1e-4 if dtype == torch.float32 else None)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_of_the_standard_normal_the_loss_is_the_fused_one_to_the_bit(likelihood):
    model = VAE(replace(CONFIG, likelihood=likelihood))
    images, target = torch.rand(6, 1, 12, 12), torch.randint(0, 256, (6, 1, 12, 12), dtype=torch.uint8)
    parameters = list(model.parameters())
    found = model.objective()(model, (images, target), beta=0.3, seed=5)
    out = model(images, seed=5)
    expected = ops.vae_loss(out.logits, target, out.mu, out.logvar, beta=0.3, likelihood=likelihood)
    assert all(map(torch.equal, found, expected))
    gradients = (torch.autograd.grad(terms.loss, parameters) for terms in (found, expected))
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize("beta", [0.4, torch.tensor(0.4), torch.tensor([0.4])])
def test_the_loss_by_hand(beta):
    model = ShiftedVAE(CONFIG)
    images = torch.rand(6, 1, 12, 12)
    learned = list(model.parameters())
    assert any(parameter is model.prior.mean for parameter in learned)

    terms = model.objective()(model, (images, images), beta=beta, seed=5)
    found = torch.autograd.grad(terms.loss, learned)

    mu, logvar = model.encode(images)
    z = ops.reparameterize_kl(mu, logvar, seed=5)[0]
    nats = nn.functional.binary_cross_entropy_with_logits(model.decode_logits(z), images, reduction="sum") / 6
    density = Normal(model.prior.mean, model.prior.log_scale.exp()).log_prob(z).sum(1)
    exact = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0, 1)).sum(1)
    kl = (exact + Normal(0, 1).log_prob(z).sum(1) - density).mean()
    for one, other in zip(terms, (nats + 0.4 * kl, nats, kl), strict=True):
        assert_near(one, other)
    for one, other in zip(found, torch.autograd.grad(nats + 0.4 * kl, learned), strict=True):
        assert_near(one, other, tolerance=1e-4)


def test_half_precision_is_left_for_densities():
    model = ShiftedVAE(CONFIG)
    images = torch.rand(64, 1, 12, 12)
    expected = model.objective()(model, (images, images), beta=1.0, seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        found = model.objective()(model, (images, images), beta=1.0, seed=0)
    assert {term.dtype for term in found} == {torch.float32}
    for one, other in zip(found, expected, strict=True):
        assert_near(one, other, tolerance=0.02)


def test_a_prior_is_learned(images, tmp_path, monkeypatch):
    """Its numbers too, and the same ones whether steps are recorded or not."""
    monkeypatch.setattr(gradients, "_MANY", 30)
    config = TrainConfig(epochs=6, batch_size=4, device="cpu", learning_rate=1e-2)
    found, replays, replay = {}, [], Recorded._replay
    monkeypatch.setattr(Recorded, "_replay", lambda self: replays.append(0) or replay(self))
    for word in ("off", "auto"):
        assert not replays
        torch.manual_seed(0)
        model = ShiftedVAE(CONFIG)
        (tmp_path / word).mkdir()
        history = fit(model, images[:48], replace(config, record=word), tmp_path / word)
        assert history[-1]["loss"] < 0.9 * history[0]["loss"]
        assert not torch.allclose(model.prior.mean, Shifted().mean, atol=0.01)
        found[word] = weights_of(model)
    assert len(replays) > 40
    assert all(map(torch.equal, found["auto"], found["off"]))


def test_neither_prior_nor_likelihood_is_in_a_state_dict():
    for model in (VAE(CONFIG), Autoencoder(AutoencoderConfig(network=MLPConfig(hidden=(8,), decoder_hidden=(8,))))):
        names = [name.partition(".")[0] for name in model.state_dict()]
        assert set(names) == {"_extra_state", "encoder", "decoder"}
        assert not [*model.likelihood.parameters(), *model.likelihood.buffers()]
    assert not hasattr(model, "prior")
    assert {"prior.mean", "prior.log_scale"} < ShiftedVAE(CONFIG).state_dict().keys()


@pytest.mark.parametrize("kind", [VAE, ShiftedVAE, MixtureVAE])
def test_models_are_copied(kind):
    model, images = kind(CONFIG), torch.rand(2, 1, 12, 12)
    expected = model(images, seed=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert all(map(torch.equal, twin(images, seed=0), expected))
        assert type(twin.prior) is type(model.prior)
        assert twin.prior is not model.prior
    fresh = kind(CONFIG)
    fresh.load_state_dict(model.state_dict())
    assert all(map(torch.equal, fresh(images, seed=0), expected))


@pytest.mark.parametrize("kind", [VAE, ShiftedVAE, MixtureVAE])
def test_models_are_compiled_and_exported(kind):
    model, images = kind(CONFIG).eval(), torch.rand(4, 1, 12, 12)
    objective = model.objective()

    def loss(images, seed):
        return objective(model, (images, images), beta=1.0, seed=seed).loss

    seed = torch.tensor([3])
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)(images, seed)
    assert_near(compiled, loss(images, seed))
    program = torch.export.export(model, (images,), {"seed": seed}).module()
    assert_near(program(images, seed=seed).logits, model(images, seed=seed).logits)


def test_a_run_draws_from_its_model_s_prior():
    model = ShiftedVAE(CONFIG)
    drawn = run_of(model).sample(5, seed=3)
    z = model.prior.sample(5, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, model.decode(z).detach())
    normal = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    for model in (
        VAE(CONFIG),
        Autoencoder(AutoencoderConfig(latent=3, network=MLPConfig(hidden=(8,), decoder_hidden=(8,)))),
    ):
        assert torch.equal(run_of(model).sample(5, seed=3), model.decode(normal).detach())


def test_rings_are_those_of_the_standard_normal_prior():
    rings = [explorer(SimpleNamespace(model=kind(CONFIG)), None)["plane"]["rings"] for kind in (VAE, ShiftedVAE)]
    assert rings == [[pytest.approx(3**0.5)], []]


@pytest.mark.parametrize("prior", [StandardNormal(2), Mixture(2, 3)])
def test_no_samples_are_none(prior):
    with pytest.raises(ValueError, match=r"^n: expected an int in \[1, "):
        prior.sample(0)
