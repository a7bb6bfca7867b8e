"""What of a run can be walked through in the page."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from latentcore import GaussianMixture
from latentcore.evaluate.latents import write_latents
from latentcore.models import VAE, Bernoulli, Gaussian, Mixture, MLPConfig, VAEConfig
from latentcore.models.residual import Refine
from latentcore.report import page as report_page
from latentcore.report.explorer import explorer, full_factors
from latentcore.report.network import UnsupportedError, layers_of


def test_layers_that_a_page_cannot_evaluate():
    for layers, words in (
        ([nn.Linear(2, 2), nn.Softplus()], "Softplus"),
        ([nn.GELU(approximate="tanh")], "GELU"),
        ([nn.Conv2d(2, 2, 3, groups=2)], "groups"),
        ([nn.Conv2d(2, 2, (3, 1))], "not square"),
        ([nn.BatchNorm1d(2, track_running_stats=False)], "over the batch"),
        ([nn.Linear(2000, 1000)], "2,001,000 weights"),
    ):
        with pytest.raises(UnsupportedError, match=words):
            layers_of(nn.Sequential(*layers))
    broken = nn.Linear(2, 2)
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(UnsupportedError, match="no finite"):
        layers_of(nn.Sequential(broken))
    assert layers_of(nn.Sequential(Refine(2, nn.ReLU)))[0]["layers"][0]["kind"] == "scale"


@pytest.mark.parametrize(("latent", "reach"), [(2, 3.0), (64, 1.3 * 8)])
def test_without_latents_the_plane_is_one_of_the_prior(latent, reach):
    model = VAE(VAEConfig(latent=latent, network=MLPConfig(hidden=(8,), decoder_hidden=(8,))))
    plane = explorer(SimpleNamespace(model=model), None)["plane"]
    assert plane["high"] == pytest.approx([reach, reach])
    assert np.hypot(*plane["start"]) == pytest.approx(0 if latent == 2 else 8)
    axes = np.frombuffer(base64.b64decode(plane["axes"]), "<f4").reshape(2, latent)
    assert np.allclose(axes @ axes.T, np.eye(2), atol=1e-6)
    assert (
        explorer(SimpleNamespace(model=VAE(VAEConfig(latent=1, network=MLPConfig(hidden=(8,))))), None)["plane"] is None
    )


@pytest.mark.parametrize("latent", [2, 5])
def test_another_prior_shows_its_samples(latent):
    model = VAE(VAEConfig(latent=latent, network=MLPConfig(hidden=(8,), decoder_hidden=(8,))))
    model.prior = Mixture(latent, components=2)
    with torch.no_grad():
        model.prior.density.means.copy_(torch.tensor([[-20.0], [30.0]]).expand(2, latent))
    plane = explorer(SimpleNamespace(model=model), None)["plane"]
    points = np.frombuffer(base64.b64decode(plane["points"]), "<f4").reshape(-1, 2)
    assert len(points) == 1000
    if latent == 2:
        assert np.array_equal(points, model.prior.sample(1000, torch.Generator().manual_seed(0)))
    assert plane["labels"] is None
    assert plane["rings"] == []
    assert "samples of the prior; there are no rings, for it is not N(0, I)." in plane["about"]
    assert ("principal axes" in plane["about"]) == (latent > 2)
    assert plane["high"][0] - plane["low"][0] == pytest.approx(50 * (1 if latent == 2 else latent**0.5), rel=0.3)
    model.prior.density.log_diagonal.data.fill_(-200)
    with pytest.raises(UnsupportedError, match="samples of the prior are no finite numbers"):
        explorer(SimpleNamespace(model=model), None)


def test_the_page_draws_what_is_the_sigmoid_of_a_decoder():
    class Doubled(Bernoulli):
        """The same mean."""

        def nll(self, outputs, target):
            return 2 * super().nll(outputs, target)

    class Brightness(Gaussian):
        """Another one."""

        def mean(self, outputs):
            return outputs.clamp(0, 1)

    model = VAE(VAEConfig(network=MLPConfig(hidden=(8,), decoder_hidden=(8,))))
    for model.likelihood in (Bernoulli(), Gaussian(), Doubled()):
        assert explorer(SimpleNamespace(model=model), None)["decoder"]
    model.likelihood = Brightness()
    with pytest.raises(UnsupportedError, match=r"the page does not evaluate what a .* makes of its decoder"):
        explorer(SimpleNamespace(model=model), None)


def test_a_decoder_beyond_the_page_is_left_out_with_a_line(made, report):
    page = report(made["photographs"].folder)
    assert "latent explorer: left out, for the page does not evaluate the decoder of a SharpVAE." in page.text
    assert page.data()[1]["explorer"] is None


def test_a_gan_is_walked_through_around_its_prior(made, report):
    plane = report(made["gan"].folder).data()[1]["explorer"]["plane"]
    assert plane["rings"] == pytest.approx([8**0.5])
    assert "as far from it as the ring" in plane["about"]


def test_a_run_without_a_decoder_has_no_explorer():
    with pytest.raises(UnsupportedError, match="no decoder"):
        explorer(object(), None)


def test_latents_of_another_model_are_not_walked_over(copied, report):
    folder = copied("ae-2d")
    write_latents(folder, torch.rand(5, 1, 28, 28), torch.rand(5, 3))
    page = report(folder)
    assert "latent explorer: left out, for the latents in latents.npz are not this model's" in page.text
    assert page.data()[1]["explorer"] is None


def test_an_operator_beyond_the_page_is_left_out_with_a_line(made, report, monkeypatch):
    monkeypatch.setattr(report_page, "explorer", lambda run, latents: {**explorer(run, latents), "turn": "It cannot."})
    page = report(made["rotation"].folder)
    assert "turning digits: left out. It cannot." in page.text
    assert not [attributes for attributes in page.all("div") if attributes.get("data-kind") == "turn"]


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_factors_of_all_covariances_are_matrices(kind):
    mixture = GaussianMixture(2, covariance_type=kind, random_state=0).fit(torch.randn(50, 3).numpy())
    factors = full_factors(mixture)
    covariances = np.linalg.inv(factors @ factors.transpose(0, 2, 1))
    expected = {
        "full": lambda c: c,
        "tied": lambda c: np.broadcast_to(c, (2, 3, 3)),
        "diag": lambda c: np.stack([np.diag(row) for row in c]),
        "spherical": lambda c: np.stack([np.eye(3) * value for value in c]),
    }[kind](np.asarray(mixture.covariances_))
    assert np.allclose(covariances, expected, rtol=1e-4, atol=1e-6)
