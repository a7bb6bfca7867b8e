"""Models of somebody's own that could not be used afterwards are refused before their training."""

import dataclasses

import pytest
import torch
from own_models import TOLD, LookAlike, OwnConfig, PixelMeans, trained
from tiny import images
from torch import nn

from latentcore import train
from latentcore.models.objectives import Terms


class Without(nn.Module):
    """Nothing to train by."""

    def __init__(self, config):
        super().__init__()
        self.config, self.weight = config, nn.Parameter(torch.zeros(1))


class Bare(Without):
    """Nothing that says its sizes."""

    def __init__(self, config):
        super().__init__(None)

    def objective(self):
        return Terms()


class Masked(LookAlike):
    """A number that no file may hold."""

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Without, TypeError, r"model: expected a module with a method objective\(\), got Without"),
        (
            Bare,
            TypeError,
            r"model: expected a module with config.image_shape, .*, got a Bare without config.image_shape",
        ),
        (
            Masked,
            ValueError,
            "model: expected one that opens again from what it saves, got Masked: .*mask: expected fin",
        ),
    ],
)
def test_what_would_fail_after_the_training_fails_before(tmp_path, model, error, message):
    with pytest.raises(error, match=message):
        trained(tmp_path / "run", (model, TOLD if model is not Masked else OwnConfig(), ()))
    assert not (tmp_path / "run").exists()


class One(Terms):
    """Says that there are two terms."""

    terms = ("loss", "more")

    def __init__(self, given):
        self.given = given

    def __call__(self, model, batch, *, beta, seed):
        return self.given(model(batch[1]).square().mean())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda loss: (loss,), ValueError, "One: expected to give 2 numbers, as it says, got 1"),
        (lambda loss: (loss, loss, loss), ValueError, "One: expected to give 2 numbers, as it says, got 3"),
        (lambda loss: loss, TypeError, "One: expected to give a tuple of terms, got a tensor"),
    ],
)
def test_an_objective_gives_as_many_terms_as_it_says(tmp_path, given, error, message):
    class Wrong(PixelMeans):
        def objective(self):
            return One(given)

    with pytest.raises(error, match=message):
        trained(tmp_path / "run", (Wrong, OwnConfig(), ()))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, TypeError, r"Wrong.objective\(\): expected an objective, .*, got NoneType"),
        (lambda model, batch: 0, TypeError, r"Wrong.objective\(\): expected an objective, .*, got function"),
        (Terms(), TypeError, r"Wrong.objective\(\): expected an objective, .*, got Terms"),
    ],
)
def test_what_is_no_objective_is_refused(tmp_path, given, error, message):
    class Wrong(PixelMeans):
        def objective(self):
            return given

    with pytest.raises(error, match=message):
        trained(tmp_path / "run", (Wrong, OwnConfig(), ()))
    assert not (tmp_path / "run").exists()


def test_the_first_term_is_the_loss(tmp_path):
    class Errors(One):
        terms = ("error", "loss")

    class Wrong(PixelMeans):
        def objective(self):
            return Errors(lambda loss: (loss, loss))

    message = r"Wrong.objective\(\): expected terms of which the first is 'loss', got error, loss"
    with pytest.raises(ValueError, match=message):
        trained(tmp_path / "run", (Wrong, OwnConfig(), ()))
    assert not (tmp_path / "run").exists()


class Listing(LookAlike):
    """Latents in a list."""

    def encode(self, images):
        return list(super().encode(images))

    def forward(self, images, seed):
        return super().decode_logits(super().encode(images)[0]), *super().encode(images)


class Half(LookAlike):
    """Draws the upper half of an image."""

    def decode(self, z):
        return super().decode(z)[:, :, :6]


class OtherPrior(LookAlike):
    def __init__(self, config):
        super().__init__(config)
        self.prior = nn.Linear(2, 2)


class OtherLikelihood(LookAlike):
    def __init__(self, config):
        super().__init__(config)
        self.likelihood = nn.BCELoss()

    def decode(self, z):
        return self.decode_logits(z).sigmoid()


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        (OtherPrior, OwnConfig(), "model.prior: expected a models.Prior, got Linear"),
        (OtherLikelihood, OwnConfig(), "model.likelihood: expected a models.Likelihood, got BCELoss"),
        (Listing, OwnConfig(), "model: expected one whose encode gives latents .*, got Listing: "),
        (Half, OwnConfig(), r"whose decode gives images .*, got Half, which draws \[\(2, 1, 6, 12\)"),
        (LookAlike, OwnConfig(classes=3), "model: expected one whose encode .*, got LookAlike: .*encode"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_the_training(tmp_path, model, config, message):
    with pytest.raises(TypeError, match=message):
        trained(tmp_path / "run", (model, config, ()))
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True)
class Little:
    """Neither how it is trained nor for which images."""

    latent: int = 2


class Numbers:
    latent = 2


def with_configuration(kind):
    return type("Model", (LookAlike,), {"configuration": kind})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LookAlike(OwnConfig()), "model: expected a class of modules, or a function .*, got an object of LookAlike"),
        ("LookAlike", "model: expected a class of modules, or a function that makes one, got an object of str"),
        (dict, "model: expected a class of modules, or a function that makes one, got the class dict"),
        (lambda config: {}, "model: expected <lambda> to make a module, got dict"),
        (with_configuration(OwnConfig()), "Model.configuration: expected a dataclass, got an object of OwnConfig"),
        (with_configuration(Numbers), "Model.configuration: expected a dataclass, got the class Numbers"),
        (
            with_configuration(Little),
            "Model.configuration: expected a dataclass with train, .*, got one without train, network, for_shape",
        ),
    ],
)
def test_what_makes_no_model_is_refused(tmp_path, model, message):
    pictures, _ = images()
    for words in ({}, {"config": OwnConfig()}) if hasattr(model, "configuration") else ({"config": TOLD},):
        with pytest.raises(TypeError, match=message):
            train("autoencoder", pictures, model=model, run_dir=tmp_path / "run", **words, **_told(words))
    assert not (tmp_path / "run").exists()


def _told(words):
    """Labels, where the configuration has classes."""
    return {"labels": images()[1]} if words.get("config") is TOLD else {}
