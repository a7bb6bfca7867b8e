"""Models of somebody's own in other systems than the autoencoder: by what they are trained, and what they must have."""

import dataclasses
import json

import pytest
import torch
from own_models import OwnVAE, Tightened
from tiny import SIDE, configuration, data, images
from torch import nn

from latentcore import evaluate_run, load_run, train
from latentcore.models import GAN, VAE, SharpVAE, TransformingVAE, build_operator
from latentcore.models.objectives import Terms
from latentcore.training import TrainConfig

TURNED = dataclasses.replace(configuration("rotation", epochs=1, batch_size=48), digits=(0, 1, 2))


class Squared(Terms):
    """What the model says of a batch, and nothing that the system weighs."""

    terms = ("loss", "own")

    def __call__(self, model, batch, *, beta, seed):
        loss = model.away(batch[0], seed)
        return loss, 2 * loss


class OwnSharp(SharpVAE):
    def objective(self):
        return Tightened()


class OwnGAN(GAN):
    def away(self, real, seed):
        return (self.judge(real) - 1).square().mean() + (
            self.draw(torch.zeros(2, self.config.latent)) - 0.5
        ).square().mean()

    def objective(self):
        return Squared()


class OwnTurning(TransformingVAE):
    def away(self, shown, seed):
        return (self.vae.decode(self.vae.encode(shown)[0]) - shown).square().mean()

    def objective(self):
        return Squared()


def turning(config):
    return OwnTurning(VAE(config.vae), build_operator(config.operator, config.vae.latent))


OWN = {
    "photographs": (OwnSharp, configuration("photographs", epochs=1), "far"),
    "gan": (OwnGAN, configuration("gan", epochs=1), "own"),
    "rotation": (turning, TURNED, "own"),
}


def trained(name, folder, model, config):
    given, more = data(name, folder.parent)
    return train(name, given, config=config, model=model, run_dir=folder, **more)


@pytest.mark.parametrize("name", OWN)
def test_an_objective_of_its_own_is_what_it_is_trained_by(name, tmp_path):
    model, config, term = OWN[name]
    run = trained(name, tmp_path / "run", model, config)
    assert term in (tmp_path / "run/metrics.csv").read_text().splitlines()[0].split(",")
    assert term in run.metrics


@pytest.mark.parametrize("name", ["photographs", "rotation"])
def test_it_is_evaluated_and_drawn_with_what_it_has(name, tmp_path):
    model, config, _ = OWN[name]
    shown, labels = images(40, 16 if name == "photographs" else SIDE)
    trained(name, tmp_path / "run", model, config)
    test = (shown, labels) if name == "rotation" else shown
    assert evaluate_run(tmp_path / "run", test=test, model=model, out=tmp_path / "out")
    assert (tmp_path / "out/pictures/losses.png").exists()


class Another(GAN):
    """Whose loss is the system's."""


def test_the_objective_of_the_system_stands_where_it_has_none(tmp_path):
    run = trained("gan", tmp_path / "run", Another, configuration("gan", epochs=1))
    assert {"discriminator", "generator", "penalty"} <= run.metrics.keys()


def test_a_perceptual_loss_stands_for_a_subclass_that_says_nothing(tmp_path):
    class Other(SharpVAE):
        pass

    config = configuration("photographs", epochs=1)
    config = dataclasses.replace(config, perceptual=dataclasses.replace(config.perceptual, kind="ms-ssim"))
    assert "perceptual" in trained("photographs", tmp_path / "run", Other, config).metrics


class Plain(nn.Module):
    """Nothing but a weight and what it is trained by."""

    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def objective(self):
        return Squared()


@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        ("gan", "draw, config.image_shape, config.latent"),
        ("rotation", "vae.encode, .*, operator, freeze"),
        ("photographs", "start_from, project, encode, decode, decode_logits, prior, likelihood, config.image_shape"),
        ("egamma", "scale_by, config.image_shape"),
    ],
)
def test_what_a_system_needs_of_a_model_is_said_before_the_training(name, lacks, tmp_path):
    config = TURNED if name == "rotation" else configuration(name, epochs=1)
    with pytest.raises(TypeError, match=f"model: expected a module with .*, got a Plain without {lacks}"):
        trained(name, tmp_path / "run", Plain, config)
    assert not (tmp_path / "run").exists()


def test_few_labels_are_shown_with_the_terms_that_there_are(tmp_path):
    class Single(Tightened):
        terms = ("loss", "far")

        def __call__(self, model, batch, *, beta, seed):
            loss, _, _, far = super().__call__(model, batch, beta=beta, seed=seed)
            return loss, far

    class OneTerm(OwnVAE):
        def objective(self):
            return Single()

    pictures, labels = images(120)
    config, test = configuration("few-label", epochs=1), (pictures[96:], labels[96:])
    words = {"labels": labels[:96], "test": test, "model": OneTerm}
    run = train("few-label", pictures[:96], config=config, run_dir=tmp_path / "run", **words)
    assert "loss" in run.metrics
    assert "kl" not in run.metrics
    assert "accuracy" in evaluate_run(tmp_path / "run", test=test, model=OneTerm)
    assert (tmp_path / "run/pictures/losses.png").exists()


def test_a_vae_inside_that_is_trained_alone_opens_by_its_class(tmp_path):
    def turning_own(config):
        return TransformingVAE(OwnVAE(config.vae), build_operator(config.operator, config.vae.latent))

    config = dataclasses.replace(TURNED, vae_train=TrainConfig(epochs=1, batch_size=48))
    run = trained("rotation", tmp_path / "run", turning_own, config)
    assert json.loads((tmp_path / "run/vae/config.json").read_text())["model"] == "OwnVAE"
    alone = load_run(tmp_path / "run/vae", model=OwnVAE)
    assert torch.equal(alone.encode(images(3)[0]), run.encode(images(3)[0]))
