"""Data in their roles: to learn from, to choose weights by, to judge by; and how they are opened and found again."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from latentcore import _errors


@dataclass(frozen=True)
class Examples:
    """Data in their roles.

    Attributes:
        train: To learn from.
        test: To judge by, or None.
        validation: By which the best weights are chosen; None: the share `TrainConfig.validation` of `train`.
        labelled: A few examples whose labels are known, or None.
        record: What a run writes down of them in `held_out.json`; None where there is nothing that a run could find
            again by it.
        source: Where they come from, as plain data; kept in `config.json`.
        own: Whether a run has held out just those of the test.
        name: Of where those of the test lie.
        word: A hash of those of the test.
    """

    train: Any = None
    test: Any = None
    validation: Any = None
    labelled: Any = None
    record: Mapping[str, Any] | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    own: bool = True
    name: str = ""
    word: str = ""


@dataclass(frozen=True)
class Where:
    """What somebody says of where data lie.

    Attributes:
        data: Names of data sets (`latentcore.data.registry`), files or folders; none: where the run says, or the
            environment.
        test: Files or folders of others to judge by.
        channels_last: How files of images are read (`latentcore.data.load_images`); None: as the run read them.
        options: The system's.
    """

    data: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    channels_last: bool | None = None
    options: Any = None


class DataKind(ABC):
    """How the data of a system are opened, divided, and found again as they were."""

    @abstractmethod
    def given(self, data: Any, config: Any, **others: Any) -> Examples:
        """Data that somebody hands in from Python.

        Args:
            data: Arrays, or names and paths.
            config: The system's configuration.
            others: `labels`, `test`, `validation` and `labelled`, as the kind knows them; those that are not given are
                left out.
        """

    @abstractmethod
    def opened(self, where: Where, config: Any) -> Examples:
        """The data of a run that begins: divided once, with a record of what is held out."""

    @abstractmethod
    def reopened(self, run: Path, where: Where, config: Any, use: Literal["train", "test", "both"]) -> Examples:
        """The data of the run in a folder, where they were or where somebody says.

        Args:
            run: The run folder.
            where: What is not said is taken from the run.
            config: The run's configuration.
            use: "train": the training goes on, so all must be as it was; "test": the run is judged, perhaps by other
                data; "both": it is judged beside its training data.

        Raises:
            OSError: A file cannot be read.
            ValueError: They are not those of the run, so that some to judge by may be some that it has learned.
        """

    def with_roles(self, examples: Examples, config: Any, **roles: Any) -> Examples:
        """The examples with others for `test`, `validation` or `labelled`, each refused where the kind has no use."""
        for name in roles:
            _errors.fail_value(name, "none: this system takes no such data from Python", "some")
        return examples

    def shape(self, examples: Examples) -> tuple[int, ...] | None:
        """Shape of an example, which a preset follows; None where the examples follow the configuration."""
        return None


def places_in(data: Any) -> tuple[str, ...] | None:
    """Names or paths, one or several, as words, none where nothing is said; None of data themselves.

    Example:
        >>> places_in("mnist"), places_in([Path("a.h5"), "b.h5"]), places_in(None), places_in([1, 2])
        (('mnist',), ('a.h5', 'b.h5'), (), None)
    """
    found = () if data is None else (data,) if isinstance(data, str | os.PathLike) else data
    if not isinstance(found, list | tuple) or not all(isinstance(place, str | os.PathLike) for place in found):
        return None
    return tuple(str(os.fspath(place)) for place in found)
