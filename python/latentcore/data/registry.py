"""Data sets by their names, and by what their files look like. Nothing heavy is imported before it is asked for."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from latentcore import _errors
from latentcore._catalogue import Catalogue, did_you_mean, said

GROUP = "latentcore.datasets"
"""Entry points of this group are further data sets: `name = "package.module:DATASET"`."""

_OWN = {
    "mnist": "latentcore.data.mnist:MNIST",
    "digits": "latentcore.data.mnist:DIGITS",
    "cifar-10": "latentcore.data.cifar:CIFAR_10",
    "cifar-100": "latentcore.data.cifar:CIFAR_100",
}
DEFAULT = "LATENTCORE_DATA"


@dataclass(frozen=True)
class DataSet:
    """A data set that can be called by its name.

    Attributes:
        name: As users write it.
        does: What it is, in a line.
        load: Of the kind "images" a function (path) -> (`ImageSet` to learn from, one to judge by or None); of other
            kinds one to the paths that the kind opens. The path is None where the data set needs none.
        kind: What systems learn from it: "images", "photographs" or "events".
        recognises: Whether a path leads to it; None of a data set that needs no files.
        get: How to get it, said where its files are missing.
    """

    name: str
    does: str
    load: Callable[[Any], Any]
    kind: str = "images"
    recognises: Callable[[Path], bool] | None = None
    get: str = ""


class Place(NamedTuple):
    """Where data lie.

    Attributes:
        dataset: The data set, or None of a file or folder that is none of those that have a name.
        path: Its file or folder, or None of a data set that needs none.
    """

    dataset: DataSet | None
    path: Path | None

    def loaded(self) -> Any:
        """What the data set's function finds there.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file is damaged, or the function of somebody else's data set fails.
        """
        assert self.dataset is not None, "what has no name is read as a file"
        try:
            return self.dataset.load(self.path)
        except (OSError, ValueError, MemoryError):
            raise
        except Exception as error:
            if self.dataset.name in catalogue.own:
                raise
            raise ValueError(f"{self.word}: expected a data set that can be loaded, got {said(error)}") from error

    @property
    def word(self) -> str:
        """By which it is found again: the whole path, or the name."""
        return self.name if self.path is None else str(self.path.resolve())

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.stem if self.path is not None else self.dataset.name if self.dataset is not None else ""


catalogue: Catalogue[DataSet] = Catalogue("DATA", DataSet, GROUP, _OWN)
"""All data sets, by name."""


def located(word: str | None, kind: str) -> Place:
    """Where a file, a folder or a name of data leads; None is what the environment's LATENTCORE_DATA names.

    Raises:
        FileNotFoundError: The data set is not where the environment says.
        ValueError: There is no such file, folder or data set, or it is of another kind.
    """
    if word is None:
        word = os.environ.get(DEFAULT) or _fail_unknown("none")
    path = Path(word)
    if word not in catalogue.names or path.exists():
        if not path.exists() and not (path.parent != Path() or path.suffix):
            _fail_unknown(word)  # what looks like a file is opened, and its error says which is missing
        known = (dataset for dataset in catalogue.available()[0] if dataset.kind == kind)
        found = Place(next((dataset for dataset in known if _recognises(dataset, path)), None), path)
        if found.dataset is not None or path.is_file() or word not in catalogue.names:
            return found
    return named(word, kind)


def _recognises(dataset: DataSet, path: Path) -> bool:
    """Whether it says so; a mistake of somebody else's data set is no reason not to open ours."""
    try:
        return dataset.recognises is not None and bool(dataset.recognises(path))
    except Exception:
        if dataset.name in catalogue.own:
            raise
        return False


def named(name: str, kind: str) -> Place:
    """Where a data set of this name is; errors as `located`."""
    dataset = catalogue.find(name)
    if dataset.kind != kind:
        _errors.fail_value("DATA", f"a data set of the kind {kind!r}", f"{name}, one of the kind {dataset.kind!r}")
    return Place(dataset, None if dataset.recognises is None else _folder_of(dataset))


def _folder_of(dataset: DataSet) -> Path:
    """The folder that LATENTCORE_DATA names, or one of the data set's name in it."""
    root = os.environ.get(DEFAULT)
    for folder in (Path(root) / dataset.name, Path(root)) if root else ():
        if _recognises(dataset, folder):
            return folder
    got = f"no such folder in {DEFAULT}, {root}" if root else f"neither, for {DEFAULT} is not set"
    raise FileNotFoundError(
        f"{dataset.name}: expected its folder as DATA, or in the folder that {DEFAULT} names, got {got}; {dataset.get}"
    )


def _fail_unknown(word: str) -> NoReturn:
    got = word if word == "none" else f"{word!r}{did_you_mean(word, catalogue.names)}"
    end = "; `latentcore data fetch mnist --out mnist` gets MNIST" if word == "none" else ""
    _errors.fail_value(
        "DATA", f"a file, a folder, or one of {', '.join(catalogue.names)} (or {DEFAULT})", f"{got}{end}"
    )
