"""From a configuration and data to a run, whatever the system: begin, train, resume, open."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from lightning_fabric import Fabric
from torch import nn

from latentcore import _config, _errors
from latentcore._ambient import torch_as_usual
from latentcore._files import FORMAT, inside, read_config, write_json
from latentcore.data.examples import Examples
from latentcore.data.hashes import fingerprint
from latentcore.data.held_out import write_record
from latentcore.models.files import check_few_values
from latentcore.models.objectives import Objective, names_of, objective_of
from latentcore.training import building
from latentcore.training.building import Model, built, name_of
from latentcore.training.checkpoint import check_opens, last_path, load_checkpoint, seconds_trained
from latentcore.training.figures import count, rate
from latentcore.training.folder import create_run
from latentcore.training.loop import minimise
from latentcore.training.plan import Plan
from latentcore.training.processes import from_first, synchronised, together
from latentcore.training.sources import Source
from latentcore.training.system import System, SystemConfig

C = TypeVar("C", bound=SystemConfig)


class Training(ABC, Generic[C]):
    """One training of a system: a configuration and data that fit together.

    It is made anew in every process and wherever a training is resumed; `__init__` checks the data, and may put into
    `config` what was left to it ("auto"), which is then what `config.json` says.

    Attributes:
        config: The configuration.
        data: What is learned from.
        fabric: Where to compute.
        shown: Terms of the loss, of the last epoch, that become figures of the run; None: all.
        phases: Folders in the run's, in which other trainings of it come before.
        needs: What a model must have for what is done with it when it is trained, as "encode" or "config.latent".
        validated: Whether there are data by which the best weights are chosen.
        seconds_elsewhere: What it took over from another run had taken there.
    """

    shown: Sequence[str] | None = None
    phases: Sequence[str] = ()
    needs: Sequence[str] = ()
    validated = False
    seconds_elsewhere = 0.0

    def __init__(self, config: C, data: Examples, fabric: Fabric) -> None:
        self.config, self.data, self.fabric = config, data, fabric

    @staticmethod
    @abstractmethod
    def build(config: C) -> nn.Module:
        """A new model; the driver seeds torch's generator."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the data; a run is not resumed with others."""

    @abstractmethod
    def source(self) -> Source:
        """What is learned from."""

    def validation(self) -> Source | None:
        """By what the best weights are chosen."""
        return None

    def objective(self, model: Any) -> Objective:
        """What is minimised: unless the system says otherwise, what the model offers.

        A model of somebody's own that has an objective of its own is asked itself.
        """
        return objective_of(model)

    def start(self, model: Any) -> None:
        """Give a new model what it takes from the data; a resumed one has it in its checkpoint.

        What fails here leaves no folder behind.
        """

    def before(self, model: Any, folder: Path) -> None:
        """What comes before the loop, also where a run goes on."""

    def watch(self, model: Any, folder: Path) -> Callable[[int], None] | None:
        """What is called after each epoch, in the first process."""
        return None

    def after(self, model: Any, folder: Path) -> None:
        """What comes after the loop, in the first process."""

    def figures(self, model: Any) -> dict[str, float]:
        """Figures beside seconds, parameters, speed and terms of the loss."""
        return {}


@torch_as_usual()
def train(
    system: System[C],
    data: Examples,
    config: C | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    *,
    model: Model | None = None,
) -> Any:
    """Train a system and write its run folder.

    In processes that torchrun has started, the batches are shared, and batch normalisation looks at all of them, so
    that the result is that of one process, up to rounding, what is random within layers, and what an objective takes of
    a part of the batch alone (the GAN's penalty).

    Args:
        system: The system.
        data: What it learns from.
        config: The configuration; ``None``: the system's first preset.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        model: A model of one's own instead of the system's.

    Returns:
        The run, as `open_run` opens it; in every process.

    Raises:
        FloatingPointError: The loss is not finite any more.
        OSError: A file cannot be read or written.
        TypeError: A dtype is unknown, or the model has no objective or lacks what the system needs of it.
        ValueError: Data and configuration do not fit, the model could not be opened again, or the folder holds a run
            already.
    """
    building.check_kind(model)
    system = system.of(model)
    wanted: Any = system.preset if config is None else config
    if not isinstance(wanted, system.config):
        _errors.fail_type("config", f"a {system.config.__name__}", type(wanted).__name__)
    fabric = together(wanted.train)
    training = system.part("training")(wanted, data, fabric)
    system.check_kept(training.config)
    if wanted.train.early_stop and not training.validated:
        expected = "0 without validation data (TrainConfig.validation, --validation SHARE)"
        _errors.fail_value("TrainConfig.early_stop", expected, wanted.train.early_stop)
    new = _new(system, training, model)  # what does not fit leaves no folder behind
    building.check_parts(system, new[0])
    training.start(new[0])
    if model is not None:
        opened = check_opens(new[0], lambda: built(system, training.config, model))
        building.check_codes(system, training.config, opened)
    about = {**_config.to_plain(training.config), "data": training.fingerprint, "source": dict(data.source)}
    about |= {"model": name_of(model)} if model is not None else {}
    about |= {"validation": fingerprint(data.validation.images)} if data.validation is not None else {}
    about |= {"test": data.word} if data.word and data.record is None else {}

    def begin() -> Path:
        folder = create_run(system.name, about, run_dir)
        write_record(folder, data.record)
        return folder

    return _train(system, training, new, from_first(fabric, begin), model)


@torch_as_usual()
def resume(system: System[C], folder: str | os.PathLike[str], data: Examples, *, model: Model | None = None) -> Any:
    """Go on with a run that was interrupted, with the same data, to the result it would have had.

    Raises:
        OSError: A file is missing.
        ValueError: The data are not those that the run began with, or a file of the run is damaged.
    """
    folder, system = Path(folder), system.of(model)
    about, config = configuration_in(system, folder, model)
    training = _training_again(system, folder, data, about, config)
    given = None if data.validation is None else fingerprint(data.validation.images)
    if "format" in about and about.get("validation") != given:
        wanted = "those" if "validation" in about else "none, as those"
        _errors.fail_value("validation", f"{wanted} with which {folder} began", "others" if given else "none")
    new = _new(system, training, model)
    if not last_path(folder).exists():
        training.start(new[0])
    return _train(system, training, new, folder, model)


@torch_as_usual()
def open_run(system: System[C], folder: str | os.PathLike[str], *, model: Model | None = None) -> Any:
    """Open what was trained; errors as `latentcore.load_run`."""
    folder, system = Path(folder), system.of(model)
    for path in (folder / "checkpoints").glob("*"):  # whichever of them the system reads
        inside(folder, path)
    about = read_config(folder)
    try:
        # where data come from is nobody's configuration, and may be the names of very many files
        check_few_values({key: value for key, value in about.items() if key not in ("source", "data")})
        about, config = configuration_in(system, folder, model)
        found = load_checkpoint(folder, lambda: built(system, config, model), own=model is not None)
        return system.part("run")(folder, about, config, found)
    except building.WRONG as error:
        if isinstance(error, ValueError) and str(folder) in str(error):
            raise
        # the checks of configurations name fields, not where they were read
        raise ValueError(f"{folder / 'config.json'}: {error}") from error


def check_began_with(system: System[Any], run: Any, data: Examples) -> None:
    """Data are those that a run has learned; others are a ValueError."""
    _training_again(system, run.folder, data, run.about, run.config)


def configuration_in(system: System[C], folder: Path, model: Model | None = None) -> tuple[dict[str, Any], C]:
    """What `config.json` of a run folder says, and the configuration in it.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, or of another system or model.
    """
    about = read_config(folder)
    if not system.wrote(found := about.get("system")):
        _errors.fail_value(str(folder), f"a run of the system {system.name!r}", f"one of {found!r}")
    if (found := about.get("format", FORMAT)) not in range(2, FORMAT + 1):
        expected = f"2 to {FORMAT}, or none as version 0.1.0 wrote it"
        _errors.fail_value(f"{folder / 'config.json'}: format", expected, repr(found))
    building.check_model(folder, about, model)
    return about, system.read(about, str(folder / "config.json"))


def _training_again(
    system: System[Any], folder: Path, data: Examples, about: Mapping[str, Any], config: Any
) -> Training[Any]:
    training: Training[Any] = system.part("training")(config, data, together(config.train))
    if about.get("data") != training.fingerprint:
        _errors.fail_value("data", f"the data with which {folder} began", "others")
    return training


def _new(system: System[C], training: Training[Any], kind: Model | None) -> tuple[Any, Objective, Source]:
    """A new model, its weights drawn from the seed of the training, what is minimised, and what is learned from."""
    with seeded(training.config.train.seed):
        model = built(system, training.config, kind)
    building.check_offers(model, training.needs)
    source = training.source()
    Plan(training.config.train, source, processes=training.fabric.world_size)  # batches that all can share
    own = kind is not None and building.says_objective(model)
    return model, objective_of(model) if own else training.objective(model), source


def _train(
    system: System[C], training: Training[Any], new: tuple[Any, Objective, Source], folder: Path, kind: Model | None
) -> Any:
    phases = [folder / name for name in ("", *training.phases)]
    began = time.perf_counter() - sum(map(seconds_trained, phases))
    config, fabric, (model, objective, source) = training.config, training.fabric, new
    fabric.barrier()  # nobody looks for a checkpoint when the first process has written one
    model = synchronised(fabric, model)
    with resumable(folder, phases):
        training.before(model, folder)
        history = minimise(
            model,
            objective,
            source,
            config.train,
            folder,
            validation=training.validation(),
            resume=True,
            fabric=fabric,
            watch=training.watch(model, folder),
        )
    terms = [name for name in names_of(objective) if training.shown is None or name in training.shown]

    def finish() -> None:
        training.after(model, folder)
        figures = {
            "seconds": time.perf_counter() - began + training.seconds_elsewhere,
            "parameters": count(model),
            **training.figures(model),
            f"{source.unit}_per_second": rate(history, source.unit),
            **{term: history[-1][term] for term in terms},
        }
        write_json(folder / "metrics.json", figures)

    from_first(fabric, finish)
    return open_run(system, folder, model=kind)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights that are built inside are a function of the seed; the caller's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def resumable(folder: Path, phases: Sequence[Path]) -> Iterator[None]:
    """An interruption says how to go on; the folder's trainings stand in `phases`."""
    try:
        yield
    except KeyboardInterrupt:
        whole = f"the last checkpoint is whole, and `--resume {folder}` goes on from it"
        begun = any(last_path(place).exists() for place in phases)
        raise KeyboardInterrupt(whole if begun else "before the first checkpoint") from None
