"""Models and objectives that keep something in Python from step to step are trained as they are."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
import torch
from first_steps import TRAININGS, brief
from torch import nn

from latentcore.models import VAE, VAEConfig
from latentcore.train import TrainConfig, gradients
from latentcore.train.loop import minimise
from latentcore.train.objectives import NegativeELBO
from latentcore.train.recorded import Recorded
from latentcore.train.sources import Images

EPOCHS, STEPS = 5, 10
CALLS = 0


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(gradients, "_MANY", EPOCHS * STEPS)


def trained(folder, objective, images, *, model=None, **words):
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    model = model or VAE(VAEConfig(image_shape=(1, 12, 12), hidden=(8,), decoder_hidden=(8,)))
    config = TrainConfig(epochs=EPOCHS, batch_size=4, device="cpu", **words)
    minimise(model, objective, Images(images[: 4 * STEPS, None]), config, folder)
    return [parameter.detach() for parameter in model.parameters()]


class Counting(NegativeELBO):
    """A factor of the KL term that grows with the calls, which `calls()` of each kind counts."""

    def __call__(self, model, batch, *, beta, seed):
        return super().__call__(model, batch, beta=self.calls() / (EPOCHS * STEPS), seed=seed)


class Attribute(Counting):
    def __init__(self):
        self.number = 0

    def calls(self):
        self.number += 1
        return self.number


class Entry(Counting):
    def __init__(self):
        self.seen = {"here": []}

    def calls(self):
        self.seen["here"].append(0)
        return len(self.seen["here"])


class OfClass(Counting):
    number = 0

    def calls(self):
        type(self).number += 1
        return self.number


class Global(Counting):
    def calls(self):
        global CALLS
        CALLS += 1
        return CALLS


class Iterator(Counting):
    def __init__(self):
        self.numbers = itertools.count(1)

    def calls(self):
        return next(self.numbers)


class Drawn(Counting):
    def __init__(self):
        self.random, self.number = random.Random(0), 0

    def calls(self):
        return self.random.random()


class DrawnByNumpy(Drawn):
    def __init__(self):
        self.random = np.random.default_rng(0)


class Closure(Counting):
    def __init__(self):
        number = 0

        def count():
            nonlocal number
            number += 1
            return number

        self.calls = count


class NewTensor(Counting):
    def __init__(self):
        self.number = torch.zeros(())

    def calls(self):
        self.number = self.number + 1
        return self.number


KINDS = [Attribute, Entry, OfClass, Global, Iterator, Drawn, DrawnByNumpy, Closure, NewTensor]


@pytest.mark.parametrize("kind", KINDS)
def test_an_objective_that_keeps_something_is_called_in_every_step(kind, tmp_path, images, monkeypatch):
    for number, record in enumerate(("off", "auto")):
        monkeypatch.setattr(OfClass, "number", 0)
        monkeypatch.setitem(globals(), "CALLS", 0)
        if record == "auto":
            with pytest.warns(RuntimeWarning, match="steps are not recorded") as said:
                found = trained(tmp_path / str(number), kind(), images)
            assert len(said) == 1
        else:
            expected = trained(tmp_path / str(number), kind(), images, record="off")
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


class Changing(NegativeELBO):
    """Which no object says."""

    def __call__(self, model, batch, *, beta, seed):
        return super().__call__(model, batch, beta=random.random(), seed=seed)


def test_what_no_object_says_is_seen_in_what_two_steps_do(tmp_path, images):
    with pytest.warns(RuntimeWarning, match="two of them differ in the operator"):
        trained(tmp_path, Changing(), images)


class Layer(nn.Module):
    """Counts its calls, and the gradients that come through it."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x


def test_a_layer_that_counts_counts_all_steps(tmp_path, images):
    model = VAE(VAEConfig(image_shape=(1, 12, 12), hidden=(8,), decoder_hidden=(8,)))
    model.encoder.append(Layer())
    with pytest.warns(RuntimeWarning, match="calls of Layer"):
        trained(tmp_path, NegativeELBO(), images, model=model)
    assert model.encoder[-1].calls == EPOCHS * STEPS


def test_a_hook_is_called_in_every_step(tmp_path, images):
    model, calls = VAE(VAEConfig(image_shape=(1, 12, 12), hidden=(8,), decoder_hidden=(8,))), []
    model.decoder.register_forward_hook(lambda *_: calls.append(1))
    trained(tmp_path, NegativeELBO(), images, model=model)
    assert len(calls) == EPOCHS * STEPS


def test_others_are_replayed_unless_it_is_said(tmp_path, images, monkeypatch):
    calls, call = [], NegativeELBO.__call__

    def counted(self, *arguments, **words):
        calls.append(0)
        return call(self, *arguments, **words)

    counted.__module__ = NegativeELBO.__module__  # so that it is a library's, which is not looked into
    monkeypatch.setattr(NegativeELBO, "__call__", counted)
    trained(tmp_path / "replayed", NegativeELBO(), images)
    assert len(calls) == 2
    trained(tmp_path / "off", NegativeELBO(), images, record="off")
    assert len(calls) == 2 + EPOCHS * STEPS


@pytest.mark.parametrize("name", [name for name in TRAININGS if "channels" not in name])
def test_the_steps_of_every_preset_are_replayed(name, tmp_path, monkeypatch):
    """That they keep something would be a warning."""
    replays, replay = [], Recorded._replay
    monkeypatch.setattr(gradients, "_MANY", 1)
    monkeypatch.setattr(Recorded, "_replay", lambda self: (replays.append(self), replay(self))[1])
    train, config = TRAININGS[name]
    fields = [field for field in ("train", "vae_train") if getattr(config, field, None) is not None]
    shorter = {field: dataclasses.replace(brief(getattr(config, field), "32-true"), epochs=2) for field in fields}
    train(dataclasses.replace(config, **shorter), tmp_path / "run")
    assert replays
