"""A mixture as the prior of a VAE."""

import io
import sys
from dataclasses import replace

import pytest
import torch

from children import run_child
from latentcore import ops
from latentcore.models import VAE, Mixture, MLPConfig, Posterior, StandardNormal, VAEConfig
from latentcore.models.files import build_for, load_state
from latentcore.testing import assert_near
from latentcore.training import TrainConfig, fit, gradients
from latentcore.training.recorded import Recorded

CONFIG = VAEConfig(image_shape=(1, 12, 12), latent=3, network=MLPConfig(hidden=(16,), decoder_hidden=(16,)))
TYPES = ("full", "tied", "diag", "spherical")
SCRIPT = """
import sys
from latentcore.models import VAE, Mixture, VAEConfig
VAE(VAEConfig())
assert "sklearn" not in sys.modules
Mixture(2)
"""


def with_mixture(config=CONFIG, **words):
    model = VAE(config)
    model.prior = Mixture(config.latent, **words)
    return model


def moved(prior):
    """Other numbers than those it begins with."""
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter += 0.3 * torch.randn(parameter.shape)
    return prior


@pytest.mark.parametrize("kind", TYPES)
def test_its_density_is_that_of_a_mixture(kind):
    prior, z = moved(Mixture(3, 4, kind)), torch.randn(7, 3)
    with torch.no_grad():
        assert_near(prior.log_prob(z).double(), prior.density.to_mixture().score_samples(z).double(), tolerance=1e-5)
    assert prior.log_prob(z.bfloat16()).dtype == torch.float32
    assert prior.log_prob(z.double()).dtype == torch.float64


def test_it_draws_by_a_generator_or_the_default_one():
    prior = moved(Mixture(3, 4))
    drawn = prior.sample(5, torch.Generator().manual_seed(3))
    assert torch.equal(drawn, prior.density.sample(5, generator=torch.Generator().manual_seed(3))[0])
    assert not drawn.requires_grad
    torch.manual_seed(3)
    assert torch.equal(drawn, prior.sample(5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_generator_elsewhere_draws_where_it_is():
    prior = moved(Mixture(3, 4))
    drawn = prior.sample(5, torch.Generator().manual_seed(3))
    assert torch.equal(prior.cuda().sample(5, torch.Generator().manual_seed(3)), drawn)


def test_one_component_in_the_middle_begins_as_the_standard_normal():
    prior, z = Mixture(3, components=1, spread=0.0), torch.randn(9, 3)
    assert_near(prior.log_prob(z).detach(), StandardNormal(3).log_prob(z))
    mu, logvar = torch.randn(9, 3), torch.randn(9, 3)
    z, kl = ops.reparameterize_kl(mu, logvar, seed=0)
    assert_near(prior.kl(Posterior(mu, logvar, z, kl)).detach(), kl)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
@pytest.mark.parametrize("kind", TYPES)
def test_it_is_learned_in_recorded_steps(images, tmp_path, monkeypatch, kind, precision):
    """Its weights, means and covariances, to the same bits as in steps that are not recorded."""
    monkeypatch.setattr(gradients, "_MANY", 20)
    settings = TrainConfig(epochs=3, batch_size=4, device="cpu", learning_rate=1e-2, precision=precision, ema=0.9)
    found, replays, replay = {}, [], Recorded._replay
    monkeypatch.setattr(Recorded, "_replay", lambda self: replays.append(0) or replay(self))
    for word in ("off", "auto"):
        torch.manual_seed(0)
        model = with_mixture(components=4, covariance_type=kind)
        begun = [parameter.double() for parameter in model.prior.parameters()]
        (tmp_path / word).mkdir()
        history = fit(model, images[:48], replace(settings, record=word), tmp_path / word)
        assert history[-1]["loss"] < history[0]["loss"]
        learned = [parameter.double() for parameter in model.prior.parameters()]
        assert not any(torch.allclose(*both, atol=1e-3) for both in zip(begun, learned, strict=True))
        found[word] = [value for value in model.state_dict().values() if isinstance(value, torch.Tensor)]
    assert bool(replays) == (precision == "32-true")  # others are not recorded, whatever the prior
    assert all(map(torch.equal, found["auto"], found["off"]))


def test_its_parameters_are_in_files():
    file, model = io.BytesIO(), with_mixture(components=5)
    torch.save(model.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert {"prior.density.logits", "prior.density.means"} < state.keys()
    again = build_for(state, lambda: with_mixture(components=5))
    load_state(again, state, "a file", assign=True)
    images = torch.rand(4, 1, 12, 12)
    terms = [one.objective()(one, (images, images), beta=1.0, seed=0) for one in (model, again)]
    assert all(map(torch.equal, *terms))
    for other in ({"components": 4}, {"components": 5, "covariance_type": "diag"}):
        with pytest.raises(ValueError, match="a file: expected a state dict of the configured VAE"):
            load_state(build_for(state, lambda other=other: with_mixture(**other)), state, "a file", assign=True)


def test_sizes_from_a_file_take_no_memory():
    assert build_for({}, lambda: Mixture(3, components=10**9)).density.means.shape == (10**9, 3)
    with pytest.raises(RuntimeError):  # of no tensor
        build_for({}, lambda: Mixture(2**30, components=10**9))


def test_few_samples_of_very_many_components_take_little_time():
    """As many as a file of a few megabytes may have; a look at each of them would take minutes."""
    prior = Mixture(2, components=4_000_000, covariance_type="spherical", spread=0.0)
    drawn = prior.sample(500, torch.Generator().manual_seed(0))
    assert drawn.std(0).tolist() == pytest.approx([1, 1], abs=0.15)


def test_values_out_of_range():
    for words, message in (
        ({"components": 0}, "components: expected"),
        ({"covariance_type": "round"}, "covariance_type: expected"),
        ({"spread": -1.0}, "spread: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            Mixture(2, **words)


def test_scikit_learn_is_imported_for_a_mixture_alone():
    child = run_child([sys.executable, "-c", SCRIPT])
    assert child.returncode == 0, child.stderr
