"""Steps of a training are replayed only as long as they are the same work."""

import dataclasses
import functools
import random
import warnings

import numpy as np
import pytest
import torch
from first_steps import TRAININGS, brief
from test_steps_in_python import EPOCHS, SEEN, SETTINGS, STEPS, factor, model_of, same, short, trained  # noqa: F401
from torch import nn

from latentcore.models.objectives import NegativeELBO
from latentcore.training import gradients
from latentcore.training.gradients import Gradients
from latentcore.training.recorded import Recorded
from latentcore.training.sources import Images

HIDDEN = {}  # which a function finds by no name


def test_a_source_that_counts_is_asked_in_every_step(tmp_path, images):
    class Dimmed(Images):
        def batch(self, rows, draws):
            SEEN.append(0)
            return (super().batch(rows, draws)[0] * factor(len(SEEN)),) * 2

    class Turned(Dimmed):
        def advance(self):
            SETTINGS.calls += 1

        def batch(self, rows, draws):
            return (super(Dimmed, self).batch(rows, draws)[0] * factor(SETTINGS.calls),) * 2

    with pytest.warns(RuntimeWarning, match="of list"):
        found = trained(tmp_path / "found", NegativeELBO(), images, source=Dimmed)
    SEEN.clear()
    assert same(found, trained(tmp_path / "off", NegativeELBO(), images, source=Dimmed, record="off"))
    # nobody says that it stands still, for it is never replayed
    assert same(found, trained(tmp_path / "advance", NegativeELBO(), images, source=Turned))


class Drawing(NegativeELBO):
    """The first dozen of draws say the same; they come from a generator that it keeps, or from everybody's."""

    def __init__(self, draw):
        self.draw = draw

    def __call__(self, model, batch, *, beta, seed):
        return super().__call__(model, batch, beta=0.5 if self.draw() < 0.9 else 1.0, seed=seed)


class DrawingTensors(NegativeELBO):
    def __init__(self, generator):
        self.generator = generator

    def __call__(self, model, batch, *, beta, seed):
        return super().__call__(model, batch, beta=torch.rand((), generator=self.generator), seed=seed)


class NewTensor(NegativeELBO):
    def __init__(self):
        self.number = torch.zeros(())

    def __call__(self, model, batch, *, beta, seed):
        self.number = self.number + 1
        return super().__call__(model, batch, beta=self.number / 50, seed=seed)


DRAWING = {
    "random": lambda: Drawing(random.random),
    "own random": lambda: Drawing(random.Random(83).random),
    "numpy": lambda: Drawing(lambda: np.random.random()),  # noqa: NPY002
    "own numpy": lambda: Drawing(np.random.default_rng(83).random),
    "legacy numpy": lambda: Drawing(np.random.RandomState(83).rand),
    "torch": lambda: DrawingTensors(torch.Generator().manual_seed(8)),
    "new tensor": NewTensor,
}


@pytest.mark.parametrize("make", DRAWING.values(), ids=DRAWING)
def test_an_objective_that_draws_or_makes_its_numbers_anew_does_so_in_every_step(make, tmp_path, images):
    found = []
    for record in ("off", "auto"):
        random.seed(83)
        np.random.seed(83)  # noqa: NPY002
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found.append(trained(tmp_path / record, make(), images, record=record))
        assert [str(one.message)[:26] for one in said] == (["steps are not recorded, an"] if record == "auto" else [])
    assert same(*found)


class Layer(nn.Module):
    """Counts its calls, and the gradients that come through it."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x


def test_a_layer_that_counts_counts_all_steps(tmp_path, images):
    model = model_of()
    model.encoder.append(Layer())
    with pytest.warns(RuntimeWarning, match="calls of Layer"):
        trained(tmp_path, NegativeELBO(), images, model=model)
    assert model.encoder[-1].calls == EPOCHS * STEPS


def test_a_cache_that_the_first_step_fills_is_no_change(tmp_path, images):
    @functools.lru_cache
    def half(size):
        SEEN.append(0)
        return size / 2 / size

    class Cached(NegativeELBO):
        def __call__(self, model, batch, *, beta, seed):
            return super().__call__(model, batch, beta=half(len(batch[0])), seed=seed)

    trained(tmp_path, Cached(), images)
    assert len(SEEN) == 1


@pytest.fixture
def replays(monkeypatch):
    """Grows with every replay."""
    found, replay = [], Recorded._replay
    monkeypatch.setattr(Recorded, "_replay", lambda self: (found.append(self), replay(self))[1])
    return found


def test_a_hook_is_called_in_every_step(tmp_path, images):
    model, calls = model_of(), []
    model.decoder.register_forward_hook(lambda *_: calls.append(1))
    next(model.parameters()).register_post_accumulate_grad_hook(lambda _: calls.append(1))
    trained(tmp_path, NegativeELBO(), images, model=model)
    assert len(calls) == 2 * EPOCHS * STEPS


def test_others_are_replayed_unless_it_is_said(tmp_path, images, monkeypatch):
    calls, call = [], NegativeELBO.__call__

    def counted(self, *arguments, **words):
        calls.append(0)
        return call(self, *arguments, **words)

    counted.__module__ = NegativeELBO.__module__  # so that it is a library's, which is not looked into
    monkeypatch.setattr(NegativeELBO, "__call__", counted)
    trained(tmp_path / "replayed", NegativeELBO(), images)
    assert len(calls) == 2 + 1, "the first two steps, and the eighth of the others"
    trained(tmp_path / "off", NegativeELBO(), images, record="off")
    assert len(calls) == 2 + 1 + EPOCHS * STEPS


class Weighted(NegativeELBO):
    """Its weight somebody else may change."""

    def __init__(self):
        self.weight, self.tensor, self.looks = 0.5, torch.tensor(0.5), False

    def __call__(self, model, batch, *, beta, seed):
        weight = float(self.tensor) if self.looks else self.weight
        return super().__call__(model, batch, beta=weight, seed=seed)


def reweigh(model, objective, epoch):
    objective.weight = 0.1 * epoch


def reweigh_once(model, objective, epoch):
    objective.weight = 0.5 if epoch < 2 else 1.0


def freeze(model, objective, epoch):
    model.encoder.requires_grad_(epoch != 2)


def hook(model, objective, epoch):
    if epoch == 2:
        model.decoder.register_forward_hook(lambda module, given, out: out / 2)


@torch.no_grad()
def replace(model, objective, epoch):
    for parameter in model.decoder.parameters():
        parameter.data = parameter / 2


def fill(model, objective, epoch):
    objective.looks = True
    objective.tensor.fill_(0.1 * epoch)


@pytest.mark.parametrize("change", [reweigh, reweigh_once, freeze, hook, replace, fill])
def test_what_somebody_changes_between_two_epochs_is_taken_in(change, tmp_path, images):
    found = []
    for record in ("off", "auto"):
        model, objective = model_of(), Weighted()
        found.append(
            trained(
                tmp_path / record,
                objective,
                images,
                model=model,
                record=record,
                watch=lambda epoch: change(model, objective, epoch),  # noqa: B023
            )
        )
    assert same(*found)


def test_what_changes_once_is_recorded_once_more(tmp_path, images, monkeypatch, replays):
    """And what changes from epoch to epoch no more than twice, as an epoch has too few steps for that."""
    monkeypatch.setattr(gradients, "_MANY", 2 * STEPS)
    for change, steps in ((reweigh_once, EPOCHS * STEPS - 2 * 2), (reweigh, 2 * (STEPS - 2))):
        model, objective = model_of(), Weighted()
        replays.clear()
        watch = lambda epoch: change(model, objective, epoch)  # noqa: B023, E731
        trained(tmp_path / change.__name__, objective, images, model=model, watch=watch)
        assert len(replays) == steps
        assert len(set(replays)) == 2


def test_what_is_kept_where_nobody_looks_is_found_by_a_step_now_and_then(tmp_path, images):
    """By its operators: a replay is as wrong as before until then."""
    HIDDEN["calls"] = 0

    class Hiding(NegativeELBO):
        def __call__(self, model, batch, *, beta, seed):
            hidden = globals()["HID" + "DEN"]
            hidden["calls"] += 1
            return super().__call__(model, batch, beta=0.5 if hidden["calls"] <= 2 else 1.0, seed=seed)

    with pytest.warns(RuntimeWarning, match="differ in the operator latentcore.vae_loss") as said:
        trained(tmp_path, Hiding(), images)
    assert len(said) == 1
    assert HIDDEN["calls"] == EPOCHS * STEPS - 7


# networks of which a step takes long; another preset of the same system shows most of it
SLOW = (
    "egamma: egamma",
    "rotation: frozen",
    "rotation: held-out",
    "rotation: scale-translate",
    "photographs: patches",
    "classifier: rotated",
    "autoencoder: residual-vae-32",
    "autoencoder: conv-vae-32",
    "autoencoder: attention",
    "autoencoder: vae-2d-deep",
    "few_label: digits148",
    "photographs: photographs",
    "rotation: study",
    "rotation: never-turned",
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.long if name in SLOW else ())
        for name in TRAININGS
        if "channels" not in name
    ],
)
def test_the_steps_of_every_preset_are_replayed(name, tmp_path, monkeypatch, replays):
    """That they keep something would be a warning; nor does anything change between their epochs."""
    moved, begin = [], Gradients.begin
    monkeypatch.setattr(gradients, "_MANY", 1)
    monkeypatch.setattr(Recorded, "CHECKED", 2)
    monkeypatch.setattr(Gradients, "begin", lambda self, *place: (begin(self, *place), moved.append(self._moved))[0])
    train, config = TRAININGS[name]
    fields = [field for field in ("train", "vae_train") if getattr(config, field, None) is not None]
    shorter = {field: dataclasses.replace(brief(getattr(config, field), "32-true"), epochs=2) for field in fields}
    train(dataclasses.replace(config, **shorter), tmp_path / "run")
    assert replays
    assert moved
    assert not any(moved)
