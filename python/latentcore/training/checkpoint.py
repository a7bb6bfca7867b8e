"""The state of a training between two steps, on disk."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from latentcore import _checks, _errors
from latentcore._files import inside
from latentcore._tensors import load_tensors, save_tensors
from latentcore.models.files import build_for, load_state
from latentcore.training.ema import Averages
from latentcore.training.plan import Plan

_FIELDS = ("model", "optimizer", "scheduler", "averages", "history", "step", "totals", "seconds", "config", "count")
_KINDS = {"config": dict, "history": list, "scheduler": dict, "totals": Tensor, "step": int, "seconds": float}
_ROW = ("epoch", "loss", "seconds")
_OWN_CALLS = 10_000  # of torch's functions while a model of somebody's own is built, for each of its tensors
_MOST_WORDS = 1_000_000  # bytes of the names and sizes of a model's tensors

M = TypeVar("M", bound=nn.Module)


@dataclass
class State:
    """All that changes while training; everything random is a function of the configuration and the step.

    Attributes:
        model: The model in training.
        optimizer: Its optimiser.
        scheduler: The optimiser's learning rate schedule.
        totals: Sums of the terms of the loss over the steps of the epoch that are done.
        averages: Of the weights, where they are what is kept.
        history: A row of figures for each epoch that is done.
        step: Steps of the next epoch that are done.
        seconds: What they took.
    """

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    totals: Tensor
    averages: Averages | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    seconds: float = 0.0

    def finish(self, row: dict[str, float]) -> None:
        """An epoch is done."""
        self.history.append(row)
        self.step, self.seconds = 0, 0.0

    def steps_done(self, plan: Plan) -> int:
        """Steps of all epochs."""
        return len(self.history) * plan.steps + self.step

    def kept(self) -> AbstractContextManager[None]:
        """Inside, the model has the weights that are validated and kept."""
        return nullcontext() if self.averages is None else self.averages.in_place()

    @property
    def epochs_without_gain(self) -> int:
        """Epochs since the lowest validation loss; 0 where nothing is validated."""
        losses = [row["validation_loss"] for row in self.history if "validation_loss" in row]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def save(self, folder: Path, plan: Plan) -> None:
        """Write `last.pth`, from which training goes on, and `model.pth`, the best model so far."""
        if self.step == 0 and self.epochs_without_gain == 0:
            with self.kept():
                save_tensors(model_path(folder), self.model.state_dict())
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "averages": None if self.averages is None else self.averages.state_dict(),
            "history": self.history,
            "step": self.step,
            "totals": self.totals,
            "seconds": self.seconds,
            "config": plan.config.to_dict(),
            "count": plan.count,
        }
        save_tensors(last_path(folder), content)

    def restore(self, folder: Path, plan: Plan) -> None:
        """Take up what `save` wrote.

        Raises:
            ValueError: The file is damaged, holds code, or is of another model, configuration or data set.
        """
        path = last_path(folder)
        content = _read(folder)
        _check_same(path, content["config"], plan.config.to_dict())
        if content["count"] != plan.count:
            _errors.fail_value("images", f"the {content['count']} images that {path} was trained on", plan.count)
        load_state(self.model, content["model"], str(path))
        if content["scheduler"].keys() != self.scheduler.state_dict().keys():  # all of which torch would take over
            _errors.fail_value(f"{path}: scheduler", "the state of this schedule", "another one")
        try:
            self.optimizer.load_state_dict(content["optimizer"])
            self.scheduler.load_state_dict(content["scheduler"])
            if self.averages is not None:
                self.averages.load_state_dict(content["averages"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            _errors.fail_value(str(path), "the optimiser's state of this model", str(error))
        totals = content["totals"]
        fits = totals.shape == self.totals.shape and totals.dtype in _checks.FLOATING
        if not fits or not 0 <= content["step"] < plan.steps:
            _errors.fail_value(str(path), "the sums over some steps of an epoch", f"those of {content['step']} steps")
        self.totals.copy_(totals)
        self.history, self.step, self.seconds = content["history"], content["step"], content["seconds"]


def load_checkpoint(folder: Path, build: Callable[[], M], *, own: bool = False) -> M:
    """The model that `build` makes, with the weights of the folder's `checkpoints/model.pth`.

    `own`: it is a model of somebody's own, which may keep tensors that are in no file.
    """
    path = model_path(folder)
    if folder.exists() and not path.exists():
        raise FileNotFoundError(f"{path}: expected the model of a finished epoch, found none; resume the training")
    state = load_tensors(inside(folder, path), most_words=_MOST_WORDS)
    if own:
        return _opened_own(state, build, str(path))
    try:
        model = build_for(state, build)
    except (RuntimeError, TypeError, ValueError, ArithmeticError) as error:
        _errors.fail_value(str(folder / "config.json"), "the sizes of a model", str(error))
    load_state(model, state, str(path), assign=True)
    return model


def check_opens(model: nn.Module, build: Callable[[], M]) -> M:
    """A model of somebody's own, saved and opened again; where that fails it would come out after the training."""
    with TemporaryDirectory() as folder:
        path = model_path(Path(folder))
        path.parent.mkdir()
        save_tensors(path, model.state_dict())
        try:
            return load_checkpoint(Path(folder), build, own=True)
        except ValueError as error:
            _errors.fail_value("model", "one that opens again from what it saves", f"{type(model).__name__}: {error}")


def _opened_own(state: dict[str, Any], build: Callable[[], M], path: str) -> M:
    """Built on the device "meta" first, where the sizes of a file take no memory, and then with all of its tensors."""
    # what looks at numbers while it is built cannot be built there
    with suppress(RuntimeError, TypeError):
        load_state(build_for(state, build, calls=_OWN_CALLS), state, path, assign=True)
    with torch.random.fork_rng(devices=[]):
        model = build()
    load_state(model, state, path)
    return model


def seconds_trained(folder: Path) -> float:
    """Seconds that the run in `folder` has been trained."""
    if not last_path(folder).exists():
        return 0.0
    content = _read(folder)
    return float(sum(row["seconds"] for row in content["history"]) + content["seconds"])


def last_path(folder: Path) -> Path:
    """Where a run folder keeps the state from which training goes on."""
    return folder / "checkpoints" / "last.pth"


def model_path(folder: Path) -> Path:
    """Where a run folder keeps the best model."""
    return folder / "checkpoints" / "model.pth"


def _read(folder: Path) -> dict[str, Any]:
    path = last_path(folder)
    content = load_tensors(inside(folder, path))
    for name in _FIELDS:
        if name not in content:
            _errors.fail_value(str(path), f"a checkpoint with {', '.join(_FIELDS)}", f"none of {name!r}")
    for name, kind in _KINDS.items():
        if not isinstance(content[name], kind):
            _errors.fail_value(f"{path}: {name}", f"a {kind.__name__}", type(content[name]).__name__)
    for row in content["history"]:
        if not (isinstance(row, dict) and all(isinstance(row.get(key), int | float) for key in _ROW)):
            _errors.fail_value(f"{path}: history", f"rows with numbers for {', '.join(_ROW)}", row)
    return content


def _check_same(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        # what is not in the file an older version did not know
        if name != "device" and name in saved and not _same(saved[name], value):
            _errors.fail_value(f"TrainConfig.{name}", f"{saved[name]!r}, as in {path}", repr(value))


def _same(saved: object, wanted: object) -> bool:
    """Whether the values are equal; tensors, which no configuration has, do not say it in a word."""
    try:
        return bool(saved == wanted)
    except RuntimeError:
        return False
