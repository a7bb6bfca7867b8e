"""All systems, a line each, and runs by their folder alone."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore import _errors, _extras
from latentcore._catalogue import Catalogue
from latentcore._files import read_config
from latentcore.data.examples import Examples, Where, places_in
from latentcore.training.system import System

GROUP = "latentcore.systems"
"""Entry points of this group are further systems: `name = "package.module:SYSTEM"`."""

_OWN = {
    "autoencoder": "latentcore.systems.autoencoder:SYSTEM",
    "egamma": "latentcore.systems.egamma:SYSTEM",
    "classifier": "latentcore.systems.classifier:SYSTEM",
    "few-label": "latentcore.systems.few_label:SYSTEM",
    "gan": "latentcore.systems.gan:SYSTEM",
    "photographs": "latentcore.systems.photographs:SYSTEM",
    "rotation": "latentcore.systems.rotation:SYSTEM",
}


catalogue: Catalogue[System[Any]] = Catalogue("system", System, GROUP, _OWN)
"""All systems, by name."""

find = catalogue.find


def about(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What a run folder's `config.json` says."""
    folder = Path(folder)
    content = read_config(folder)
    if not isinstance(content.get("system"), str):
        expected = "the name of a system under 'system'"
        _errors.fail_value(str(folder / "config.json"), expected, type(content.get("system")).__name__)
    return content


def system_of(folder: str | os.PathLike[str]) -> System[Any]:
    """The system of a run folder."""
    name = about(folder)["system"]
    ours = map(find, catalogue.own)  # which some of their runs call by another name
    found = next((system for system in ours if system.wrote(name)), None)
    if found is None and name in catalogue.names:
        return find(name)
    found = found or next((system for system in catalogue.available()[0] if system.wrote(name)), None)
    if found is None:
        _errors.fail_value(
            f"{Path(folder) / 'config.json'}: system", f"one of {', '.join(catalogue.names)}", repr(name)
        )
    return found


def load_run(folder: str | os.PathLike[str], *, model: Any = None) -> Any:
    """Open a run folder, which may come from anywhere: nothing in it is executed, and no link out of it is followed.

    Time and memory are bounded by the sizes of its files.

    Args:
        folder: A folder that training made, with `config.json` and `checkpoints/`.
        model: The class, or the function, of a model of one's own with which it was trained.

    Returns:
        The run, with ``encode(images)``, ``decode(z)``, ``sample(n)``, ``classify(images)``, ``predict_proba(images)``
        and ``transform(z, angle)`` as the system has them.

    Raises:
        FileNotFoundError: The folder or a file of it is missing.
        ModuleNotFoundError: The extra [train] is not installed.
        OSError: A file cannot be read.
        ValueError: A file is damaged, holds code, is of another model, is no regular file, or is reached by a link
            that leads out of the folder; the message names the file or the folder.

    Example:
        >>> run = latentcore.load_run("runs/digits148-20260101T120000")  # doctest: +SKIP
        >>> run.decode(run.encode(images)).shape  # doctest: +SKIP
        torch.Size([10, 1, 28, 28])
    """
    _extras.need("train")
    from latentcore.training.driver import open_run

    return open_run(system_of(folder), folder, model=model)


def train(
    system: str,
    data: Any,
    *,
    preset: str | None = None,
    config: Any = None,
    labels: Any = None,
    labelled: Any = None,
    validation: Any = None,
    test: Any = None,
    epochs: int | None = None,
    run_dir: str | os.PathLike[str] | None = None,
    model: Any = None,
) -> Any:
    """Train a system and write its run folder.

    Args:
        system: Its name; `latentcore train --help` lists them.
        data: What it learns from: images (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], as an array, a tensor or
            a `data.ImageSet`; or the name of a data set, a file or a folder, or several of them where the system takes
            several. A `data.examples.Examples` is taken as it is.
        preset: Name of a measured configuration; it takes the size of the images.
        config: A configuration of one's own instead.
        labels: Of the images, whole numbers. (N,).
        labelled: A few images whose labels are known, a pair (images, labels); for the system few-label.
        validation: By which the best weights are chosen, images or a pair (images, labels); without it the share
            `TrainConfig.validation` of `data`.
        test: To judge by, likewise; some systems show them in pictures while they train.
        epochs: Instead of the configuration's.
        run_dir: The run's folder; ``None`` makes one under ``runs/``.
        model: The class of a model of one's own instead of the system's, or a function that makes it
            (`docs/own-models.md`).

    Returns:
        The run, as `load_run` opens it.

    Raises:
        FloatingPointError: The loss is not finite any more.
        ModuleNotFoundError: The extra [train] is not installed.
        OSError: A file cannot be read or written.
        TypeError: A dtype is unknown, or the model has no objective or lacks what the system needs of it.
        ValueError: A name is unknown, data and configuration do not fit, the model could not be opened again, or the
            folder holds a run already.

    Example:
        >>> import torch
        >>> import latentcore
        >>> run = latentcore.train("autoencoder", torch.rand(256, 28, 28), preset="ae-2d", epochs=1)
        >>> run.encode(torch.rand(3, 28, 28)).shape
        torch.Size([3, 2])
    """
    _extras.need("train")
    from latentcore._ambient import torch_as_usual
    from latentcore.training import driver
    from latentcore.training.building import check_kind

    check_kind(model)
    found, own = find(system), getattr(model, "configuration", None)
    if preset is not None and (config is not None or own is not None):
        _errors.fail_value("preset", "none beside a configuration", repr(preset))
    first = found.named(preset) if own is None else own()
    chosen = first if config is None else config
    kind = found.part("data")
    more = {"labels": labels, "labelled": labelled, "validation": validation, "test": test}
    with torch_as_usual():
        examples = kind.given(data, chosen, **{name: value for name, value in more.items() if value is not None})
    if config is None and (shape := kind.shape(examples)) is not None:
        chosen = chosen.for_shape(shape)
    if epochs is not None:
        chosen = replace(chosen, train=replace(chosen.train, epochs=epochs))
    return driver.train(found, examples, chosen, run_dir, model=model)


def resume(
    folder: str | os.PathLike[str],
    data: Any = None,
    *,
    labels: Any = None,
    labelled: Any = None,
    validation: Any = None,
    test: Any = None,
    model: Any = None,
) -> Any:
    """Go on with a run that was interrupted, with the same data, to the result it would have had.

    Args:
        folder: The run's folder.
        data: What it learns from, as `train` takes it; ``None``: from where it was. Names and paths say where that
            lies now.
        labels: As in `train`.
        labelled: As in `train`.
        validation: As in `train`.
        test: As in `train`.
        model: As in `train`.

    Raises:
        ModuleNotFoundError: The extra [train] is not installed.
        OSError: A file is missing.
        ValueError: The data are not those that the run began with, or a file of the run is damaged.
    """
    _extras.need("train")
    from latentcore._ambient import torch_as_usual
    from latentcore.training import driver

    found = system_of(folder)
    _, config = driver.configuration_in(found.of(model), Path(folder), model)
    kind = found.part("data")
    roles = {"labelled": labelled, "validation": validation, "test": test}
    given = {name: value for name, value in roles.items() if value is not None}
    places, tests = places_in(data), places_in(test)
    with torch_as_usual():
        if places is None:
            more = {} if labels is None else {"labels": labels}
            examples = kind.given(data, config, **more, **given)
        else:
            examples = kind.reopened(Path(folder), Where(places, tests or ()), config, "train")
            given = {name: value for name, value in given.items() if not (name == "test" and tests is not None)}
            examples = kind.with_roles(examples, config, **given)
    return driver.resume(found, folder, examples, model=model)


def evaluate_run(
    folder: str | os.PathLike[str] | Any,
    data: Any = None,
    *,
    test: Any = None,
    labels: Any = None,
    model: Any = None,
    out: str | os.PathLike[str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a run: what `latentcore evaluate` does, for runs of one's own models too.

    Args:
        folder: The run's folder, or the run as `load_run` opens it.
        data: What it has learned from, as `train` takes it; ``None``: where that was. Names and paths say where it lies
            now. Of arrays only systems that compare with them, such as the GAN, want it.
        test: To judge by, as in `train`; ``None``: what the run has held out.
        labels: Of `data`, where these are arrays.
        model: As in `train`.
        out: The folder for figures and pictures; ``None``: the run's, where it is judged by what it has held out itself
            or by the `test` of its training, and else one in its folder `evaluations`.
        options: Those of the system, such as ``tsne=True``; `latentcore evaluate RUN --help` lists them. Runs are
            given as they are, or by their folders.

    Returns:
        The figures, which are in the folder's `metrics.json` too; the run's own folder has those of its training beside
        them. Of several processes the first one evaluates, and the others return none.

    Raises:
        ModuleNotFoundError: The extra [train] is not installed.
        OSError: A file cannot be read or written.
        ValueError: There is nothing to judge by, the data are not those of the run, an option is unknown, or a file of
            the run is damaged.

    Example:
        >>> import latentcore
        >>> run = latentcore.train("autoencoder", "digits", preset="ae-2d", epochs=1)
        >>> figures = latentcore.evaluate_run(run.folder)
        >>> figures["test_images"], sorted(path.name for path in (run.folder / "pictures").iterdir())[0]
        (500.0, 'arithmetic.png')
    """
    _extras.need("train")
    from latentcore._ambient import torch_as_usual
    from latentcore.training import judging
    from latentcore.training.run import Run

    opened = folder if isinstance(folder, Run) else None
    system = system_of(folder if opened is None else opened.folder)
    told, run = system.told(options, load_run), opened or load_run(folder, model=model)
    with torch_as_usual():
        examples = _to_judge_by(system, run, data, test, labels, told)
        return judging.evaluate(system, run, examples, told, None if out is None else Path(out)).figures


def _to_judge_by(system: System[Any], run: Any, data: Any, test: Any, labels: Any, options: Any) -> Examples:
    """What a run is judged by; where nothing is handed in but names, as the command line finds it."""
    from latentcore.training.driver import check_began_with

    kind, beside = system.part("data"), system.judged_beside_training
    places, tests = places_in(data), places_in(test)
    roles = {} if tests == () else {"test": test}
    if labels is not None and places is not None:
        _errors.fail_value("labels", "none beside names and paths, which have their own", "some")
    found: Examples = Examples()
    if places is None:
        found = kind.given(data, run.config, **{} if labels is None else {"labels": labels})
        if beside:
            check_began_with(system, run, found)
    elif tests is not None or beside:
        where = Where(places, tests or (), options=options)
        found = kind.reopened(run.folder, where, run.config, "both" if beside else "test")
        if tests is not None:
            return found
    found = kind.with_roles(found, run.config, **roles)
    if found.test is None:
        _errors.fail_value("test", "data to judge by", "none")
    own = found.word == about(run.folder).get("test")
    return replace(found, own=own, train=found.train if beside else None)
