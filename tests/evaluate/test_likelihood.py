"""The figures of likelihood, against closed forms and integrals over the latents."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from closed_forms import DIGITS, PIXELS, SIDE, SMALL, Tiny, all_binary, bernoulli, images, integral, linear_gaussian
from torch import nn
from torch.nn import functional as F

from latentcore import ops
from latentcore.evaluate import likelihood
from latentcore.evaluate.likelihood import (
    active_units,
    binarised,
    elbo,
    importance_weighted_nll,
    latent_axes,
    likelihood_figures,
    nll_per_image,
)
from latentcore.models import (
    VAE,
    Autoencoder,
    AutoencoderConfig,
    Bernoulli,
    GaussianConfig,
    MLPConfig,
    StandardNormal,
    VAEConfig,
)
from latentcore.models.objectives import NegativeELBO


def test_an_exact_posterior_gives_the_closed_form_with_a_single_sample():
    model, nll = linear_gaussian()
    x = images()
    for samples in (1, 5):
        torch.testing.assert_close(nll_per_image(model, x, samples=samples), nll(x), rtol=0, atol=1e-10)
    # and then the bound is tight in expectation
    assert elbo(model, x, samples=3000).nats == pytest.approx(float(nll(x).mean()), abs=2e-3)


def test_a_wrong_posterior_converges_to_the_closed_form():
    model, nll = linear_gaussian(posterior_scale=1.5)
    x = images()
    torch.testing.assert_close(nll_per_image(model, x, samples=8000), nll(x), rtol=0, atol=0.01)
    assert elbo(model, x, samples=5000).nats > float(nll(x).mean()) + 0.05


def test_many_samples_give_the_integral():
    model, x = bernoulli(), images()
    torch.testing.assert_close(nll_per_image(model, x, samples=8000), integral(model, x), rtol=0, atol=0.02)
    expected = float(integral(model, (binarised(x) / 255).double()).mean())
    assert importance_weighted_nll(model, x, samples=8000, target="binarised") == pytest.approx(expected, abs=0.01)


def test_the_probabilities_of_all_binary_images_add_up_to_one():
    nll = nll_per_image(bernoulli(), all_binary(), samples=5000)
    assert float((-nll).exp().sum()) == pytest.approx(1, abs=0.01)


def test_the_bound_is_tighter_with_more_samples():
    model = bernoulli(spread=2.0)
    x = images().repeat(500, 1, 1, 1)  # every image with noise of its own
    found = [importance_weighted_nll(model, x, samples=samples) for samples in (1, 2, 4, 16, 64)]
    assert all(more < fewer - 1e-3 for fewer, more in pairwise(found))
    assert found[0] == pytest.approx(elbo(model, x, samples=10).nats, abs=0.03)  # S = 1: the same expectation
    assert found[-1] > float(integral(model, images()).mean()) - 0.01


def test_the_elbo_is_what_training_minimises():
    model = VAE(SMALL).requires_grad_(False)
    x = DIGITS / 255
    found = elbo(model, DIGITS, batch_size=7)
    expected = NegativeELBO()(model, (x, DIGITS), beta=1.0, seed=0)
    assert found == pytest.approx([float(term) for term in expected], rel=1e-5)
    mu, logvar = model.encode(x)
    z, kl = ops.reparameterize_kl(mu, logvar, seed=0)
    cross_entropy = F.binary_cross_entropy_with_logits(model.decode_logits(z), x, reduction="sum") / len(x)
    assert found.reconstruction == pytest.approx(float(cross_entropy), rel=1e-5)
    assert found.kl == pytest.approx(float(kl.mean()), rel=1e-5)


def test_the_elbo_of_a_gaussian_likelihood():
    model = VAE(
        VAEConfig(likelihood=GaussianConfig(), network=MLPConfig(hidden=(32,), decoder_hidden=(32,)))
    ).requires_grad_(False)
    z, _ = ops.reparameterize_kl(*model.encode(DIGITS / 255), seed=0)
    error = 0.5 * (model.decode(z) - DIGITS / 255).square().sum() / len(DIGITS)
    assert elbo(model, DIGITS).reconstruction == pytest.approx(float(error), rel=1e-5)


def test_binarised_images_are_input_and_target():
    model = VAE(SMALL).requires_grad_(False)
    white = (binarised(DIGITS) / 255).float()
    expected = NegativeELBO()(model, (white, white), beta=1.0, seed=5)
    assert elbo(model, DIGITS, target="binarised", seed=5) == pytest.approx([float(t) for t in expected], rel=1e-5)
    assert elbo(model, DIGITS, target="binarised", seed=5) == elbo(model, binarised(DIGITS), seed=5)
    assert importance_weighted_nll(model, DIGITS, samples=3, target="binarised") == importance_weighted_nll(
        model, binarised(DIGITS), samples=3
    )


def test_more_samples_are_a_mean():
    model, x = bernoulli(), images()
    z = [ops.reparameterize_kl(*model.encode(x), seed=2, offset=s * 2**40)[0] for s in range(3)]
    nats = [F.binary_cross_entropy_with_logits(model.decode_logits(part), x, reduction="sum") for part in z]
    found = elbo(model, x, samples=3, seed=2)
    assert found.reconstruction == pytest.approx(float(sum(nats)) / 3 / len(x), rel=1e-10)
    assert found.kl == pytest.approx(elbo(model, x).kl, rel=1e-12)


def test_weights_by_hand():
    model, x = bernoulli(spread=0.7), images()
    mu, logvar = model.encode(x)
    log_weights = []
    for sample in range(4):
        z, _ = ops.reparameterize_kl(mu, logvar, seed=9, offset=sample * 2**40)
        nats = F.binary_cross_entropy_with_logits(model.decode_logits(z), x, reduction="none").flatten(1).sum(1)
        prior = torch.distributions.Normal(0, 1).log_prob(z).sum(1)
        posterior = torch.distributions.Normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(1)
        log_weights.append(prior - posterior - nats)
    expected = math.log(4) - torch.stack(log_weights).logsumexp(0)
    torch.testing.assert_close(nll_per_image(model, x, samples=4, seed=9), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 13, 1000])
def test_chunks_change_nothing(chunk):
    model, x = bernoulli(), images(11)
    whole = nll_per_image(model, x, samples=10, seed=4)
    torch.testing.assert_close(nll_per_image(model, x, samples=10, chunk=chunk, seed=4), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        nll_per_image(model, x[:5], samples=10, chunk=chunk, seed=4), whole[:5], rtol=0, atol=1e-12
    )
    assert elbo(model, x, batch_size=chunk, samples=2) == pytest.approx(elbo(model, x, samples=2), rel=1e-12)
    torch.testing.assert_close(latent_axes(model, x, batch_size=chunk), latent_axes(model, x))


def test_no_more_latents_than_the_chunk_are_decoded_at_once():
    model = bernoulli()
    nll_per_image(model, images(11), samples=10, chunk=4)
    assert max(model.decoded) == 4
    assert sum(model.decoded) == 110


def test_seeds():
    model, x = bernoulli(), images()
    assert torch.equal(nll_per_image(model, x, samples=5, seed=1), nll_per_image(model, x, samples=5, seed=1))
    assert not torch.allclose(nll_per_image(model, x, samples=5, seed=1), nll_per_image(model, x, samples=5, seed=2))
    assert elbo(model, x, seed=1) == elbo(model, x, seed=1)
    assert elbo(model, x, seed=1).reconstruction != elbo(model, x, seed=2).reconstruction
    state = torch.random.get_rng_state()
    likelihood_figures(model, x, samples=2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_weights_that_no_exponential_holds():
    model = bernoulli()
    model.decode_logits = lambda z: (1e4 + z).expand(-1, PIXELS).reshape(-1, 1, SIDE, SIDE)
    nll = nll_per_image(model, torch.zeros(1, 1, SIDE, SIDE), samples=5000)
    # the mean of exp(-4 z) over the prior is exp(8)
    assert float(nll) == pytest.approx(PIXELS * 1e4 - 8, abs=2)


def test_a_float64_model_agrees_with_its_float32_twin():
    torch.manual_seed(1)
    model = VAE(SMALL)
    single = nll_per_image(model, DIGITS, samples=20), elbo(model, DIGITS, target="binarised")
    double = nll_per_image(model.double(), DIGITS, samples=20), elbo(model, DIGITS, target="binarised")
    assert single[0].dtype == double[0].dtype == torch.float64
    torch.testing.assert_close(single[0], double[0], rtol=1e-5, atol=0)
    assert single[1] == pytest.approx(double[1], rel=1e-5)


def test_images_may_come_in_any_form():
    model = VAE(SMALL)
    expected = elbo(model, DIGITS)
    for form in (DIGITS[:, 0], DIGITS.numpy(), DIGITS[:, 0].numpy()):
        assert elbo(model, form) == expected
    assert elbo(model, DIGITS.double() / 255) == pytest.approx(expected, rel=1e-6)


def test_modes_are_left_as_they_were():
    model = VAE(VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,), normalisation="batch"))).train()
    next(layer for layer in model.decoder if isinstance(layer, nn.BatchNorm1d)).eval()
    modes = [layer.training for layer in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    found = elbo(model, DIGITS)
    with pytest.raises(ValueError, match="labels"):
        elbo(model, DIGITS, labels=torch.zeros(1))
    assert [layer.training for layer in model.modules()] == modes
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert found == elbo(model.eval(), DIGITS)
    assert torch.is_grad_enabled()


class Conditional:
    """Decodes and encodes with a shift that is the image's label; no module, and it always needs labels."""

    config = SimpleNamespace(image_shape=(1, SIDE, SIDE))
    likelihood, prior = Bernoulli(), StandardNormal(1)

    def encode(self, images, *, labels):
        mu = images.flatten(1)[:, :1] + 0.1 * labels[:, None]
        return mu, torch.full_like(mu, -1.0)

    def decode_logits(self, z, *, labels):
        return (z + labels[:, None]).expand(-1, PIXELS).reshape(-1, 1, SIDE, SIDE)


def test_labels_go_with_their_images():
    x, labels = images(7).float(), torch.tensor([0, 1, 2, 0, 5, 3, 1])
    together = nll_per_image(Conditional(), x, samples=200, chunk=4, labels=labels)
    torch.testing.assert_close(nll_per_image(Conditional(), x, samples=200, labels=labels), together)
    for label in labels.unique():
        same = nll_per_image(Conditional(), x, samples=200, labels=label.expand(7))
        torch.testing.assert_close(same[labels == label], together[labels == label])
    assert elbo(Conditional(), x, labels=labels) == elbo(Conditional(), x, labels=labels, batch_size=3)
    assert latent_axes(Conditional(), x, labels=labels).kl.shape == (1,)
    assert likelihood_figures(Conditional(), x, samples=5, labels=labels)["active_units"] == 1


def test_active_units():
    def posterior(x):
        mu = torch.stack([x[:, 0], 0.05 * x[:, 0], torch.ones_like(x[:, 0]), -2 * x[:, 1]], dim=1)
        return mu, torch.tensor([0.0, 0.0, -1.0, -2.0], dtype=x.dtype).expand(len(x), 4)

    model, x = Tiny(lambda z: torch.full((len(z), PIXELS), 0.5).double(), posterior), images(50)
    axes = latent_axes(model, x)
    first, second = (x.flatten(1)[:, place].numpy() for place in (0, 1))
    expected = [np.var(first), np.var(first) / 400, 0, 4 * np.var(second)]
    assert axes.variance.tolist() == pytest.approx(expected, abs=1e-12)
    kl = [np.mean(first**2) / 2, np.mean(first**2) / 800, 0.5 * (1 + math.exp(-1) - 1 + 1)]
    assert axes.kl.tolist()[:3] == pytest.approx(kl, rel=1e-10)
    assert float(axes.kl.sum()) == pytest.approx(elbo(model, x).kl, rel=1e-10)
    assert active_units(model, x) == 2
    assert active_units(model, x, threshold=0.0001) == 3
    assert active_units(model, x, threshold=float(axes.variance[0])) == 1  # above it, not at it
    assert active_units(model, x[:1], threshold=0) == 0


def test_binarised_frequencies():
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(2000, -1, -1, -1)
    white = binarised(grey)
    assert white.dtype == torch.uint8
    assert white.shape == grey.shape
    assert white.unique().tolist() == [0, 255]
    share = (white == 255).double().mean(0).flatten()
    probability = torch.arange(256).double() / 255
    assert share[0] == 0
    assert share[255] == 1
    deviation = (share - probability)[1:-1] / (probability * (1 - probability) / 2000)[1:-1].sqrt()
    assert float(deviation.abs().max()) < 4.5
    assert float(deviation.square().mean()) == pytest.approx(1, abs=0.4)


def test_binarised_is_a_function_of_seed_and_pixel():
    x = torch.randint(0, 256, (10000, 1, SIDE, SIDE), dtype=torch.uint8)
    whole = binarised(x)
    for count in (1, 3, 4096, 5001):  # through pieces that are drawn apart
        assert torch.equal(binarised(x[:count]), whole[:count])
    numbers = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(whole == 255, numbers < x / 255)
    assert torch.equal(binarised(x / 255), whole)
    assert torch.equal(binarised(x[:, 0].numpy()), whole)
    assert torch.equal(binarised(whole, seed=8), whole)
    assert not torch.equal(binarised(x, seed=1), whole)


def test_figures_have_stable_names():
    model = VAE(SMALL)
    found = likelihood_figures(model, DIGITS, samples=20, seed=3)
    names = ["nats", "reconstruction", "kl", "iw_nll"]
    assert set(found) == {*names, *(f"{name}_binarised" for name in names), "active_units"}
    assert all(type(value) in (int, float) for value in found.values())  # JSON takes them
    assert [found[name] for name in names[:3]] == list(elbo(model, DIGITS, seed=3))
    assert found["nats_binarised"] == elbo(model, DIGITS, target="binarised", seed=3).nats
    assert found["iw_nll_binarised"] == importance_weighted_nll(model, DIGITS, samples=20, target="binarised", seed=3)
    assert found["active_units"] == active_units(model, DIGITS)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, "target: expected one of 'grey', 'binarised', got 'gray'", {"target": "gray"}),
        (ValueError, r"samples: expected an int in \[1, 4194304\], got 0", {"samples": 0}),
        (TypeError, "samples: expected an int, got float", {"samples": 2.0}),
        (ValueError, r"chunk: expected an int in \[1, 2147483648\], got 0", {"chunk": 0}),
        (ValueError, r"seed: expected an int in .*, got 9223372036854775808", {"seed": 2**63}),
        (TypeError, "labels: expected a torch.Tensor, got list", {"labels": [1, 2]}),
        (ValueError, r"labels: expected one for each of 10 images, got shape \(9,\)", {"labels": torch.zeros(9)}),
    ],
)
def test_errors(error, message, call):
    with pytest.raises(error, match=message):
        importance_weighted_nll(VAE(SMALL), DIGITS[:10], **call)


def test_errors_of_images_and_models():
    model = VAE(SMALL)
    with pytest.raises(ValueError, match=r"images: expected shape \(N, 28, 28\) or"):
        elbo(model, torch.zeros(3, 27, 28))
    with pytest.raises(ValueError, match=r"images: expected values in \[0, 1\]"):
        elbo(model, torch.full((3, 28, 28), 1.5))
    with pytest.raises(ValueError, match="batch_size: expected an int"):
        latent_axes(model, DIGITS, batch_size=0)
    with pytest.raises(ValueError, match="threshold: expected a number of at least 0, got -1"):
        active_units(model, DIGITS, threshold=-1)
    with pytest.raises(TypeError, match=r"model: expected one that encodes images as \(mu, logvar\), got Autoencoder"):
        elbo(Autoencoder(AutoencoderConfig(network=MLPConfig(hidden=(8,), decoder_hidden=(8,)))), DIGITS[:2])
    without = SimpleNamespace(encode=model.encode, decode_logits=model.decode_logits, config=model.config)
    with pytest.raises(TypeError, match="model: expected one with a prior and a likelihood, got SimpleNamespace"):
        elbo(without, DIGITS[:2])
    with pytest.raises(ValueError, match=r"images: expected shape \(N, H, W\) or \(N, C, H, W\), got \(3,\)"):
        binarised(torch.zeros(3))
    with pytest.raises(TypeError, match=r"images: expected a NumPy array or a torch.Tensor, got list"):
        binarised([0.5])
    with pytest.raises(TypeError, match="seed: expected an int, got float"):
        binarised(DIGITS, seed=0.5)


def test_all_that_is_public_is_there():
    assert all(hasattr(likelihood, name) for name in likelihood.__all__)
