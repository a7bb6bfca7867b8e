"""Likelihoods of pixels, and what asks them."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from latentcore import ops
from latentcore.models import (
    VAE,
    Autoencoder,
    AutoencoderConfig,
    Bernoulli,
    Gaussian,
    Likelihood,
    MLPConfig,
    StandardNormal,
    VAEConfig,
)
from latentcore.testing import assert_near
from latentcore.training import TrainConfig, fit, gradients

FIELDS = {"image_shape": (1, 12, 12), "latent": 3, "network": MLPConfig(hidden=(16,), decoder_hidden=(16,))}


class Poisson(Likelihood):
    """Counts of photons, of which white is twenty, without their factorials; outputs are logarithms of the rates."""

    white = 20

    def nll(self, outputs, target):
        return (outputs.exp() - self.white * target * outputs).flatten(1).sum(1)

    def mean(self, outputs):
        return outputs.exp() / self.white


class Scaled(Likelihood):
    """Normal around the outputs themselves, with a deviation that is learned."""

    def __init__(self, scale=0.1):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())

    def nll(self, outputs, target):
        return -torch.distributions.Normal(outputs, self.log_scale.exp()).log_prob(target).flatten(1).sum(1)

    def mean(self, outputs):
        return outputs.clamp(0, 1)


def model_of(likelihood, kind=VAE, config=VAEConfig):
    torch.manual_seed(0)
    model = kind(config(**FIELDS))
    model.likelihood = likelihood
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_two_that_configurations_name(dtype):
    logits, target = torch.randn(5, 3, 4, 4, dtype=dtype), torch.rand(5, 3, 4, 4, dtype=dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(1)
    assert_near(Bernoulli().nll(logits, target), entropy)
    assert_near(Gaussian().nll(logits, target), 0.5 * (logits.sigmoid() - target).square().flatten(1).sum(1))
    grey = (255 * target).to(torch.uint8)
    for likelihood in (Bernoulli(), Gaussian()):
        assert_near(likelihood.nll(logits, grey), likelihood.nll(logits, grey.to(dtype) / 255))
        assert torch.equal(likelihood.mean(logits), logits.sigmoid())
    for name, kind in (("bernoulli", Bernoulli), ("gaussian", Gaussian)):
        assert type(VAE(VAEConfig(**FIELDS, likelihood=name)).likelihood) is kind
        assert type(Autoencoder(AutoencoderConfig(**FIELDS, likelihood=name)).likelihood) is kind
        assert kind.fused == name


def test_samples():
    logits, generator = torch.tensor([-2.0, 0.0, 1.0]).expand(20_000, 3), torch.Generator().manual_seed(0)
    for likelihood, deviation in ((Bernoulli(), 0.5), (Gaussian(), 1.0)):
        drawn = likelihood.sample(logits, generator)
        assert (drawn.mean(0) - logits[0].sigmoid()).abs().max() < 4 * deviation / 20_000**0.5
    assert Bernoulli().sample(logits, generator).unique().tolist() == [0, 1]
    assert float(drawn.std()) == pytest.approx(math.sqrt(1 + float(logits[0].sigmoid().var(correction=0))), rel=0.02)
    outputs = torch.randn(2, 1, 4, 4)
    assert torch.equal(Poisson().sample(outputs), Poisson().mean(outputs))


def test_a_subclass_with_an_nll_of_its_own_is_not_fused():
    class Tempered(Bernoulli):
        def nll(self, outputs, target):
            return 0.5 * super().nll(outputs, target)

    class Named(Bernoulli):
        def mean(self, outputs):
            return outputs.sigmoid().round()

    assert (Tempered.fused, Named.fused, Poisson.fused) == (None, "bernoulli", None)
    batch = (torch.rand(4, 1, 12, 12),) * 2
    plain, tempered = model_of(Bernoulli()), model_of(Tempered())
    nats = plain.objective()(plain, batch, beta=1.0, seed=0).reconstruction
    assert_near(tempered.objective()(tempered, batch, beta=1.0, seed=0).reconstruction, 0.5 * nats)


@pytest.mark.parametrize("kind", [Poisson, Scaled])
def test_the_loss_by_hand(kind):
    model = model_of(kind())
    learned, images = list(model.parameters()), torch.rand(6, 1, 12, 12)
    grey = (255 * images).to(torch.uint8)
    terms = model.objective()(model, (images, grey), beta=0.3, seed=4)
    found = torch.autograd.grad(terms.loss, learned)

    mu, logvar = model.encode(images)
    outputs, target = model.decode_logits(ops.reparameterize_kl(mu, logvar, seed=4)[0]), grey / 255
    if kind is Poisson:
        distribution = torch.distributions.Poisson(outputs.exp(), validate_args=False)  # grey is no whole number
        log_prob = distribution.log_prob(20 * target) + torch.lgamma(20 * target + 1)
    else:
        scale = model.likelihood.log_scale.exp()
        log_prob = -0.5 * ((target - outputs) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)
    nats = -log_prob.flatten(1).sum(1).mean()
    kl = (0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)).mean()
    for one, other in zip(terms, (nats + 0.3 * kl, nats, kl), strict=True):
        assert_near(one, other)
    for one, other in zip(found, torch.autograd.grad(nats + 0.3 * kl, learned), strict=True):
        assert_near(one, other, tolerance=1e-4)
    z = torch.randn(2, 3)
    assert torch.equal(model.decode(z), model.likelihood.mean(model.decode_logits(z)))


def test_an_autoencoder_asks_it_too():
    model, images = model_of(Scaled(), Autoencoder, AutoencoderConfig), torch.rand(6, 1, 12, 12)
    terms = model.objective()(model, (images, images), beta=1.0, seed=0)
    expected = model.likelihood.nll(model(images).logits, images).mean()
    assert torch.equal(terms.loss, expected)
    assert torch.equal(terms.reconstruction, expected)
    assert terms.kl == 0


@pytest.mark.parametrize("kind", [Poisson, Scaled])
def test_models_of_others_are_trained(kind, images, tmp_path, monkeypatch):
    """To the same numbers, whether steps are recorded or not."""
    monkeypatch.setattr(gradients, "_MANY", 30)
    config, found = TrainConfig(epochs=6, batch_size=4, device="cpu", learning_rate=3e-3), {}
    for word in ("auto", "off"):
        model = model_of(kind())
        (tmp_path / word).mkdir()
        history = fit(model, images[:48], replace(config, record=word), tmp_path / word)
        assert history[-1]["loss"] < history[0]["loss"]
        found[word] = [value for value in model.state_dict().values() if isinstance(value, torch.Tensor)]
    assert all(map(torch.equal, found["auto"], found["off"]))


def test_half_precision_is_left_for_densities():
    given = []

    class Watched(Scaled):
        def nll(self, outputs, target):
            given.append((outputs.dtype, target.dtype, float(target.max()) <= 1))
            return super().nll(outputs, target)

    model, images = model_of(Watched()), torch.randint(0, 256, (4, 1, 12, 12), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        model.objective()(model, (images / 255, images), beta=1.0, seed=0)
    model.double().objective()(model, ((images / 255).double(), images), beta=1.0, seed=0)
    assert given == [(torch.float32, torch.float32, True), (torch.float64, torch.float64, True)]


def test_one_number_for_the_batch_is_an_error():
    class Wrong(Scaled):
        def nll(self, outputs, target):
            return super().nll(outputs, target).mean()

    model, images = model_of(Wrong()), torch.rand(4, 1, 12, 12)
    model.prior = StandardNormal(3)
    with pytest.raises(ValueError, match=r"Wrong.nll\(outputs, target\): expected shape \(4,\), got \(\)"):
        model.objective()(model, (images, images), beta=1.0, seed=0)
