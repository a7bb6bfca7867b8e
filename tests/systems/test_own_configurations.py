"""Configurations of somebody's own that `config.json` could not give back are refused before a folder is made."""

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from own_models import LookAlike, OwnConfig

from latentcore import load_run, train
from latentcore.training.folder import model_of


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Named(OwnConfig):
    test: int = 3
    source: str = "here"


@dataclasses.dataclass(frozen=True)
class Listed(OwnConfig):
    sizes: list[int] = dataclasses.field(default_factory=lambda: [3, 4])


@dataclasses.dataclass(frozen=True)
class Mapped(OwnConfig):
    sizes: dict[str, int] = dataclasses.field(default_factory=lambda: {"a": 3})


@dataclasses.dataclass(frozen=True)
class Anything(OwnConfig):
    more: Any = 3


@dataclasses.dataclass(frozen=True)
class Bare(OwnConfig):
    sizes: tuple = (3, 4)


@dataclasses.dataclass(frozen=True)
class Placed(OwnConfig):
    place: Path = Path("here")


@dataclasses.dataclass(frozen=True)
class Coloured(OwnConfig):
    colour: Colour = Colour.RED


@dataclasses.dataclass(frozen=True)
class Unequal(OwnConfig):
    sizes: tuple[int, ...] = dataclasses.field(default_factory=lambda: [3, 4])


@dataclasses.dataclass(frozen=True)
class Kept(OwnConfig):
    sizes: tuple[tuple[int, str], ...] = ((3, "a"), (4, "b"))
    rate: float = 1
    name: str | None = None


def trained(config, folder):
    model = type("Own", (LookAlike,), {"configuration": config})
    return model, train("autoencoder", torch.rand(48, 12, 12), model=model, epochs=1, run_dir=folder)


def test_fields_that_config_json_has_itself(tmp_path):
    with pytest.raises(ValueError, match=r"^Named: expected fields of other names than system, .*, got test, source$"):
        trained(Named, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("config", "got"),
    [
        (Listed, "TypeError: .*"),
        (Mapped, "TypeError: .*"),
        (Anything, "TypeError: .*"),
        (Bare, r"TypeError: Bare\.sizes: expected a tuple, got list"),
        (Placed, "TypeError: .*"),
        (Coloured, "TypeError: .*"),
        (Unequal, "others in sizes"),
    ],
)
def test_fields_that_config_json_cannot_give_back(tmp_path, config, got):
    with pytest.raises(
        ValueError, match=rf"^{config.__name__}: expected fields that config\.json can hold.*, got {got}"
    ):
        trained(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_others_come_back(tmp_path):
    model, run = trained(Kept, tmp_path / "run")
    assert load_run(tmp_path / "run", model=model).config == run.config
    assert run.config.sizes == ((3, "a"), (4, "b"))


@pytest.mark.parametrize("named", [[], "", 3, {"a": 1}])
def test_a_model_that_has_no_name(tmp_path, named):
    (tmp_path / "config.json").write_text(json.dumps({"system": "autoencoder", "format": 2, "model": named}))
    with pytest.raises(ValueError, match=r"config\.json: model: expected the name of a class or a function, got "):
        load_run(tmp_path)


def test_a_long_name_is_cut(tmp_path):
    assert model_of(tmp_path, {"model": "A\n" + "b" * 5000}) == "A\\n" + "b" * 97 + "..."
    (tmp_path / "config.json").write_text(json.dumps({"system": "autoencoder", "format": 2, "model": "b" * 5000}))
    with pytest.raises(ValueError, match=r"^model: expected b.* with which .* was trained") as error:
        load_run(tmp_path)
    assert len(str(error.value)) < 600
