"""The model of a training: the system's own, or one of somebody's, which a run knows again by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import nn

from latentcore import _errors
from latentcore.models.likelihoods import Likelihood
from latentcore.models.priors import Prior
from latentcore.training.folder import model_of
from latentcore.training.run import CodingRun
from latentcore.training.system import System

Model = Callable[[Any], nn.Module]
"""A class of modules that is given `config.network`, or a function that is given the whole configuration.

Its attribute `configuration`, where it has one, is the dataclass of that configuration, instead of the system's.
"""

WRONG = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
"""What is raised where a file or a model of somebody's own holds something else than it should."""

_CONFIGURES = ("train", "network", "for_shape")


def built(system: System[Any], config: Any, kind: Model | None) -> Any:
    """A new model: the system's, or one of `kind`."""
    if kind is None:
        return system.part("training").build(config)
    made = kind(config.network if isinstance(kind, type) else config)
    if not isinstance(made, nn.Module):
        _errors.fail_type("model", f"{name_of(kind)} to make a module", type(made).__name__)
    return made


def check_kind(model: Model | None) -> None:
    """A model of somebody's own is what makes modules, not one of them, and so is its configuration."""
    if model is None:
        return
    fits = issubclass(model, nn.Module) if isinstance(model, type) else callable(model)
    if not fits or isinstance(model, nn.Module):
        _errors.fail_type("model", "a class of modules, or a function that makes one", _what(model))
    if (config := getattr(model, "configuration", None)) is None:
        return
    name = f"{name_of(model)}.configuration"
    if not (isinstance(config, type) and is_dataclass(config)):
        _errors.fail_type(name, "a dataclass", _what(config))
    known = {*dir(config), *(part.name for part in fields(config))}
    if missing := [part for part in _CONFIGURES if part not in known]:
        _errors.fail_type(name, f"a dataclass with {', '.join(_CONFIGURES)}", f"one without {', '.join(missing)}")


def check_model(folder: Path, about: Mapping[str, Any], model: Model | None) -> None:
    """A run of somebody's own model needs it again: nothing that a file names is ever imported."""
    check_kind(model)
    named, given = model_of(folder, about), None if model is None else name_of(model)
    if named != given:
        python = f"in Python: load_run, resume and evaluate_run take model={named}"
        _errors.fail_value(
            "model", f"{named}, with which {folder} was trained ({python})" if named else "none", given or "none"
        )


def check_offers(model: Any, needs: Sequence[str]) -> None:
    """A model has what `Training.needs` names."""
    missing = []
    for name in needs:
        try:
            attrgetter(name)(model)
        except AttributeError:
            missing.append(name)
    if missing:
        _errors.fail_type(
            "model", f"a module with {', '.join(needs)}", f"a {type(model).__name__} without {', '.join(missing)}"
        )


def check_parts(system: System[Any], model: Any) -> None:
    """What encodes and decodes has a prior and a likelihood as the models here have them, where it has any."""
    coder = _coder(system, model)
    for name, kind in (("prior", Prior), ("likelihood", Likelihood)):
        if hasattr(coder, name) and not isinstance(part := getattr(coder, name), kind):
            _errors.fail_type(f"model.{name}", f"a models.{kind.__name__}", type(part).__name__)


def check_codes(system: System[Any], config: Any, model: Any) -> None:
    """What is to encode and decode does it, and samples from its prior; found out on two grey images."""
    if (coder := _coder(system, model)) is None:
        return
    run = CodingRun(Path(), {}, config, coder)
    expected = "one whose encode gives latents (N, L), or a pair with them, and whose decode gives images (N, C, H, W)"
    try:
        images = torch.full((2, *coder.config.image_shape), 0.5)
        labels = torch.zeros(2, dtype=torch.int64) if coder.config.classes else None
        with torch.random.fork_rng(devices=[]):
            shapes = [tuple(made.shape) for made in (run.reconstruct(images, labels), run.sample(2, labels))]
    except WRONG as error:
        _errors.fail_type("model", expected, f"{type(coder).__name__}: {error}")
    if shapes != [tuple(images.shape)] * 2:
        _errors.fail_type("model", expected, f"{type(coder).__name__}, which draws {shapes} for {tuple(images.shape)}")


def says_objective(model: Any) -> bool:
    """Whether a model of somebody's own says itself what is minimised: not by a method that the models here have."""
    method = getattr(model, "objective", None)
    return method is not None and not str(getattr(method, "__module__", "")).startswith("latentcore.")


def name_of(model: Model) -> str:
    """What a run calls it."""
    return str(getattr(model, "__name__", type(model).__name__))


def _coder(system: System[Any], model: Any) -> Any:
    """What of a model encodes and decodes, where a run of the system asks that of it; else None."""
    run = system.part("run")
    if not (isinstance(run, type) and issubclass(run, CodingRun)):
        return None
    coder = run.coder(model)
    return coder if hasattr(coder, "encode") and hasattr(coder, "decode") else None


def _what(given: object) -> str:
    """What somebody has given, a class or something else, as messages name it."""
    return f"the class {given.__name__}" if isinstance(given, type) else f"an object of {type(given).__name__}"
