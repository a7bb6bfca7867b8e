"""Every system of a VAE with a mixture as its prior: training, resuming, evaluation, report."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import configuration, data, images

from latentcore import load_run, ops, resume, train
from latentcore._settings import changed
from latentcore.cli import main
from latentcore.models import VAE, Likelihood, Mixture, MLPConfig, SharpVAE, TransformingVAE, VAEConfig, build_operator
from latentcore.models.config import LatentConfig
from latentcore.models.transforming import PairBatch
from latentcore.systems.photographs.evaluation import anomaly_scores
from latentcore.systems.photographs.training import _drawing
from latentcore.systems.rotation.config import TransformationWeights
from latentcore.systems.rotation.objective import TransformationLoss
from latentcore.testing import assert_near

PRIOR = {"vae.prior.kind": "mixture", "vae.prior.components": "4"}


class Brightness(Likelihood):
    """Normal pixels around the outputs themselves."""

    def nll(self, outputs, target):
        return 10 * (target - outputs).square().flatten(1).sum(1)

    def mean(self, outputs):
        return outputs.clamp(0, 1)


def call(*words):
    return main([str(word) for word in words])


def with_mixture(name, **settings):
    """A small configuration of a system."""
    return changed(configuration(name, batch_size=24, **settings), PRIOR)


def begin(name, folder, monkeypatch, *words):
    """Train a small system from the command line in the folder, where its run is `run`; it is judged, too."""
    monkeypatch.chdir(folder)
    pictures, labels = images(side=16 if name == "photographs" else 12)
    for file, rows in (("a", slice(0, 72)), ("t", slice(72, 96))):
        np.savez(f"{file}.npz", images=pictures[rows].numpy(), labels=labels[rows].numpy())
    config = configuration(name, epochs=2, batch_size=24).to_dict()
    Path("config.json").write_text(json.dumps({"system": name, "format": 2, **config}))
    settings = [word for field, value in PRIOR.items() for word in ("--set", f"{field}={value}")]
    given = ("a.npz", "--test", "t.npz", "--config", "config.json", "--run-dir", "run", *settings, *words)
    return call("train", name, *given)


def weights(folder):
    state = torch.load(folder / "checkpoints/model.pth", weights_only=True)
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("latent", [2, 3])
def test_an_autoencoder_from_training_to_report(tmp_path, monkeypatch, capsys, latent):
    assert begin("autoencoder", tmp_path, monkeypatch, "--set", f"vae.latent={latent}") == 0
    said = capsys.readouterr().out
    assert "prior        Mixture; great circles, rings and divergences of single axes exist for N(0, I) alone" in said
    figures = json.loads(Path("run/metrics.json").read_text())
    assert {"nats", "kl", "iw_nll", "iw_nll_binarised", "active_units"} <= figures.keys()
    assert figures["iw_nll"] < figures["nats"]
    drawn = {path.stem for path in Path("run/pictures").iterdir()}
    assert {"samples", "interpolation", "latents", "traversals"} <= drawn
    assert ("manifold" in drawn) == (latent == 2)

    run = load_run("run")
    assert run.sample(4, seed=3).shape == (4, 1, 12, 12)
    assert not torch.equal(run.model.prior.density.means, VAE(run.model.config).prior.density.means)
    assert call("evaluate", "run") == 0
    assert json.loads(Path("run/metrics.json").read_text()) == figures
    capsys.readouterr()
    assert call("compare", "run", "--out", "comparison") == 0
    assert "prior        run: Mixture; great circles" in capsys.readouterr().out
    assert call("report", "run", "--out", "report.html") == 0
    assert "<h3>Missing</h3>" not in Path("report.html").read_text()


def test_a_resumed_run_ends_with_the_same_bits(tmp_path, monkeypatch, interrupted_at):
    config, found = with_mixture("autoencoder", epochs=4, ema=0.9), data("autoencoder", tmp_path)[0]
    train("autoencoder", found, config=config, run_dir=tmp_path / "one", validation=found[:20])
    with interrupted_at(9), pytest.raises(KeyboardInterrupt):
        train("autoencoder", found, config=config, run_dir=tmp_path / "two", validation=found[:20])
    resume(tmp_path / "two", found, validation=found[:20])
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert {"prior.density.logits", "prior.density.means", "prior.density.log_diagonal"} < one.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("few-label", {"manifold", "latents"}), ("photographs", {"samples", "interpolation"}), ("rotation", {"orbit"})],
)
def test_other_systems_from_training_to_report(tmp_path, monkeypatch, capsys, name, pictures):
    assert begin(name, tmp_path, monkeypatch) == 0
    assert "prior        Mixture" in capsys.readouterr().out
    assert pictures <= {path.stem for path in Path("run/pictures").rglob("*.png")}
    run = load_run("run")
    assert isinstance(run.model.prior, Mixture)
    assert bool(run.sample(4).isfinite().all())
    assert call("report", "run", "--out", "report.html") == 0


def transforming(prior, likelihood, frozen):
    config = VAEConfig(image_shape=(1, 12, 12), latent=4, network=MLPConfig(hidden=(16,), decoder_hidden=(16,)))
    vae = VAE(config)
    vae.prior, vae.likelihood = prior or vae.prior, likelihood or vae.likelihood
    model = TransformingVAE(vae, build_operator(LatentConfig(hidden=(16,)), 4))
    if frozen:
        model.freeze()
    moves = torch.tensor([[30.0, 1.0, 0.0, 0.0]]).expand(6, 4)
    return model, PairBatch(torch.rand(6, 1, 12, 12), moves, torch.rand(6, 1, 12, 12))


@pytest.mark.parametrize("frozen", [False, True])
def test_the_loss_of_rotations_is_the_fused_one_under_the_standard_normal(frozen):
    model, batch = transforming(None, None, frozen)
    loss, reconstruction, kl, *_ = TransformationLoss(TransformationWeights())(model, batch, beta=0.3, seed=5)
    out = model(batch.images, batch.parameters, seed=5)
    expected = ops.vae_loss(out.logits, batch.targets, out.mu, out.logvar, beta=0.3, likelihood="bernoulli")
    assert torch.equal(reconstruction, expected.reconstruction)
    assert torch.equal(kl, expected.kl)
    assert torch.equal(loss, expected.reconstruction + (0 if frozen else 0.3 * expected.kl))


def test_the_loss_of_rotations_asks_prior_and_likelihood():
    model, batch = transforming(Mixture(4, 3), Brightness(), frozen=False)
    loss, reconstruction, kl, *_ = TransformationLoss(TransformationWeights())(model, batch, beta=0.3, seed=5)
    mu, logvar = model.vae.encode(batch.images)
    z, normal = ops.reparameterize_kl(mu, logvar, seed=5)
    outputs = model.vae.decode_logits(model.transform(z, batch.parameters))
    assert_near(reconstruction, Brightness().nll(outputs, batch.targets).mean())
    assert_near(kl, model.vae.prior.density.kl_divergence(z, normal).mean())
    assert_near(loss, reconstruction + 0.3 * kl)
    loss.backward()
    assert model.vae.prior.density.means.grad.abs().sum() > 0


def test_pictures_of_epochs_are_of_the_prior_as_it_is():
    config = with_mixture("photographs").vae
    model, photographs = SharpVAE(config).eval(), torch.rand(5, 1, 16, 16)
    model.decoder.axes.normal_()  # without them it draws the same of all latents
    draw = _drawing(model, photographs)
    with torch.no_grad():
        before, again = draw(), draw()
        model.prior.density.means += 3
        after = draw()
    assert torch.equal(before, again)
    assert torch.equal(before[:16], after[:16])  # photographs and what is made of them
    assert not torch.isclose(before[16:], after[16:]).all()


def test_scores_of_photographs_ask_the_prior(tmp_path):
    config = configuration("photographs", epochs=1, batch_size=24)
    run = train("photographs", data("photographs", tmp_path)[0], config=config, run_dir=tmp_path / "run")
    shown = torch.rand(3, 1, 16, 16)
    normal = anomaly_scores(run, shown)
    run.model.prior = Mixture(4, components=1, spread=0.0)
    torch.testing.assert_close(anomaly_scores(run, shown).kl, normal.kl)
    run.model.prior.density.means.data += 100
    assert bool((anomaly_scores(run, shown).kl > 1000 + normal.kl).all())
    assert torch.equal(anomaly_scores(run, shown).reconstruction, normal.reconstruction)
