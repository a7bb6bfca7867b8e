"""Models and objectives that keep something in Python from step to step are trained as they are."""

import array
import collections
import functools
import itertools
import types

import numpy as np
import pytest
import torch

from latentcore.models import VAE, MLPConfig, VAEConfig
from latentcore.models.objectives import NegativeELBO
from latentcore.training import TrainConfig, gradients
from latentcore.training.loop import minimise
from latentcore.training.sources import Images

EPOCHS, STEPS, FLAT = 5, 10, 20
CALLS, SEEN, SETTINGS = 0, [], types.ModuleType("settings")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(gradients, "_MANY", EPOCHS * STEPS)
    monkeypatch.setitem(globals(), "CALLS", 0)
    SEEN.clear()
    monkeypatch.setattr(SETTINGS, "calls", 0, raising=False)


def model_of():
    torch.manual_seed(0)
    return VAE(VAEConfig(image_shape=(1, 12, 12), network=MLPConfig(hidden=(8,), decoder_hidden=(8,))))


def trained(folder, objective, images, *, model=None, source=Images, watch=None, **words):
    folder.mkdir(exist_ok=True)
    model = model or model_of()
    config = TrainConfig(epochs=EPOCHS, batch_size=4, device="cpu", **words)
    minimise(model, objective, source(images[: 4 * STEPS, None]), config, folder, watch=watch)
    return [parameter.detach() for parameter in model.parameters()]


def same(found, expected):
    return all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def factor(calls):
    """Of the KL term: no two steps by which a training begins tell that it changes."""
    return 0.5 if calls <= FLAT else 1.0


class Counting(NegativeELBO):
    """Its factor follows from the calls, which `calls()` counts in the way of each kind."""

    def __call__(self, model, batch, *, beta, seed):
        return super().__call__(model, batch, beta=factor(self.calls()), seed=seed)


class Given(Counting):
    def __init__(self, calls):
        self.calls = calls


class Attribute(Counting):
    number = 0

    def calls(self):
        self.number += 1
        return self.number


class Entry(Counting):
    def __init__(self):
        self.seen = {"here": []}

    def calls(self):
        self.seen["here"].append(0)
        return len(self.seen["here"])


class Slot(Counting):
    __slots__ = ("__number",)

    def __init__(self):
        self.__number = 0

    def calls(self):
        self.__number += 1
        return self.__number


class OfClass(Counting):
    @classmethod
    def calls(cls):
        cls.number = getattr(cls, "number", 0) + 1
        return cls.number


class Global(NegativeELBO):
    def __call__(self, model, batch, *, beta, seed):
        global CALLS
        CALLS += 1
        return super().__call__(model, batch, beta=factor(CALLS), seed=seed)


class OfModule(Counting):
    def calls(self):
        SETTINGS.calls += 1
        return SETTINGS.calls


class ImportedWithin(Counting):
    def calls(self):
        import sys as module

        module._calls = getattr(module, "_calls", 0) + 1
        return module._calls


class Property(Counting):
    @property
    def calls(self):
        SEEN.append(0)
        return lambda: len(SEEN)


class Static(Counting):
    @staticmethod
    def calls():
        return [[SEEN.append(0), len(SEEN)] for _ in "a"][-1][1]


class OfFunction(Counting):
    def calls(self):
        function = OfFunction.calls
        function.number = getattr(function, "number", 0) + 1
        return function.number


class Default(Counting):
    def calls(self, kept=[]):  # noqa: B006
        kept.append(0)
        return len(kept)


class ByNumpy(Counting):
    def __init__(self):
        self.number = torch.zeros(1)

    def calls(self):
        self.number.numpy()[0] += 1
        return self.number.numpy()[0]


def closure():
    number = 0

    def count():
        nonlocal number
        number += 1
        return number

    return count


def appended(seen):
    return lambda: [seen.append(0), len(seen)][1]


def pushed():
    push = [].append
    return lambda: [push(0), len(push.__self__)][1]


def of_a_list():
    seen = type("Seen", (list,), {})()
    seen.number = 0

    def count():
        seen.number += 1
        return seen.number

    return count


def of_a_container(numbers, place=0):
    def count():
        numbers[place] += 1
        return numbers[place]

    return count


def of_objects():
    seen = np.empty(1, object)
    seen[0] = []
    return lambda: [seen[0].append(0), len(seen[0])][1]


def cached():
    @functools.lru_cache
    def seen(name):
        return []

    return lambda: [seen("here").append(0), len(seen("here"))][1]


def from_an_iterator(iterator):
    return lambda: next(iterator)


def of_a_cycle():
    """Once around before the training begins."""
    numbers = itertools.cycle(range(1, EPOCHS * STEPS + 1))
    for _ in range(EPOCHS * STEPS):
        next(numbers)
    return lambda: next(numbers)


def generated():
    for _ in itertools.repeat(0, FLAT):
        yield 1
    while True:
        yield FLAT + 1


CLASSES = [
    Attribute,
    Entry,
    Slot,
    OfClass,
    Global,
    OfModule,
    ImportedWithin,
    Property,
    Static,
    OfFunction,
    Default,
    ByNumpy,
]
WAYS = {
    "closure": closure,
    "deque": lambda: appended(collections.deque()),
    "partial": lambda: functools.partial(lambda seen: [seen.append(0), len(seen)][1], []),
    "builtin": pushed,
    "attribute of a list": of_a_list,
    "array": lambda: of_a_container(array.array("i", [0])),
    "bytes": lambda: of_a_container(bytearray(1)),
    "numpy": lambda: of_a_container(np.zeros(1)),
    "objects": of_objects,
    "cache": cached,
    "count": lambda: from_an_iterator(itertools.count(1)),
    "list": lambda: from_an_iterator(iter(list(range(1, 99)))),
    "zip": lambda: functools.partial(lambda pairs: next(pairs)[0], zip(range(1, 99), range(1, 99), strict=True)),
    "cycle": of_a_cycle,
    "generator": lambda: from_an_iterator(generated()),
}


@pytest.fixture
def counted(once, images):
    """What a training ends with whose objective is called in every step."""

    def make(folder):
        torch.save(trained(folder, Attribute(), images, record="off"), folder / "weights.pth")

    return torch.load(once("counted-steps", make) / "weights.pth")


@pytest.mark.parametrize(
    "make",
    [
        *CLASSES,
        *(
            pytest.param(lambda way=way: Given(way()), id=name, marks=[pytest.mark.long] if place % 4 else [])
            for place, (name, way) in enumerate(WAYS.items())
        ),
    ],
)
def test_an_objective_that_keeps_something_is_called_in_every_step(make, tmp_path, images, counted):
    objective = make()
    with pytest.warns(RuntimeWarning, match="steps are not recorded") as said:
        found = trained(tmp_path, objective, images)
    assert len(said) == 1
    assert same(found, counted)


def test_an_objective_that_reads_a_file_is_called_in_every_step(tmp_path, images, counted):
    path = tmp_path / "numbers"
    path.write_text("".join(f"{number:3}" for number in range(1, 99)))
    with path.open() as file, pytest.warns(RuntimeWarning, match="place of TextIOWrapper"):
        found = trained(tmp_path / "run", Given(lambda: int(file.read(3))), images)
    assert same(found, counted)
