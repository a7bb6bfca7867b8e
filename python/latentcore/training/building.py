"""The model of a training: the system's own, or one of somebody's, which a run knows again by its name."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from torch import nn

from latentcore import _errors
from latentcore.training.system import System

Model = Callable[[Any], nn.Module]
"""A class of modules that is given `config.network`, or a function that is given the whole configuration.

Its attribute `configuration`, where it has one, is the dataclass of that configuration, instead of the system's.
"""


def built(system: System[Any], config: Any, kind: Model | None) -> Any:
    """A new model: the system's, or one of `kind`."""
    if kind is None:
        return system.part("training").build(config)
    return kind(config.network if isinstance(kind, type) else config)


def check_model(folder: Path, about: Mapping[str, Any], model: Model | None) -> None:
    """A run of somebody's own model needs it again: nothing that a file names is ever imported."""
    named, given = about.get("model"), None if model is None else name_of(model)
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


def name_of(model: Model) -> str:
    """What a run calls it."""
    return str(getattr(model, "__name__", type(model).__name__))
