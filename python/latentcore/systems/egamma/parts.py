"""Which calorimeter events are for training, which to choose a model by, and which to judge it by."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentcore import _errors
from latentcore._files import read_config
from latentcore.data.egamma import EgammaFiles
from latentcore.data.examples import DataKind, Examples, Where, places_in
from latentcore.data.held_out import read_record, record_path
from latentcore.data.registry import located
from latentcore.systems.egamma.config import EgammaConfig

# shapes: N events of all files, n of them

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, eq=False)
class Parts:
    """Events in their roles.

    Attributes:
        files: Those of training and validation.
        train: Rows of `files`, sorted. (n,), int64.
        validation: Rows of `files`, or None.
        test_files: Those of the test.
        test: Rows of `test_files`.
    """

    files: EgammaFiles
    train: np.ndarray
    validation: np.ndarray | None
    test_files: EgammaFiles
    test: np.ndarray

    @property
    def fingerprint(self) -> str:
        """A word for all events."""
        own = self.files.fingerprint
        return own if self.test_files is self.files else f"{own} {self.test_files.fingerprint}"

    def describe(self) -> dict[str, dict[str, Any]]:
        """Number of each role's events and a hash of their rows; of what is held out, of the events themselves too.

        So all of these are read, and no mistake in them comes late.
        """
        found = {"train": _described(self.train)}
        for name, files, rows in (("validation", self.files, self.validation), ("test", self.test_files, self.test)):
            if rows is not None:
                found[name] = {**_described(rows), "content": files.content_hash(rows)}
        return found

    def check_same(self, folder: Path) -> None:
        """The events have the roles in which the run in `folder` began, where it has written them down."""
        known = read_record(folder)
        if known is not None and known != (found := self.describe()):
            changed = [name for name in found if known.get(name) != found[name]]
            _errors.fail_value(str(record_path(folder)), f"the events that are there, {found}", f"others for {changed}")


def divided(paths: Paths, test: Paths | None, config: EgammaConfig) -> Parts:
    """Divide the events of some files; those of test files, where there are some, all are for the test.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, the test's events are of other sizes, there is nothing to judge by, or a part
            would be empty.
    """
    files = EgammaFiles(paths)
    others = None if test is None else EgammaFiles(test)
    if others is not None and others.shape != files.shape:
        _errors.fail_value("test", f"events of shape {files.shape}, as for training", others.shape)
    _check_different(files, others)
    if others is None and config.events.test == 0:
        _errors.fail_value("EventsConfig.test", "more than 0 where there is no test file", config.events.test)
    held_out = {"validation": config.train.validation, "test": config.events.test if others is None else 0.0}
    shares = {"train": 1 - sum(held_out.values()), **{name: share for name, share in held_out.items() if share}}
    whole = len(shares) == 1
    drawn = (
        (np.arange(len(files)),) if whole else files.split(tuple(shares.values()), seed=config.events.split_seed).parts
    )
    rows = dict(zip(shares, drawn, strict=True))
    judge, judged = (files, rows["test"]) if others is None else (others, np.arange(len(others)))
    parts = Parts(files, rows["train"], rows.get("validation"), judge, judged)
    _check_classes(parts)
    return parts


class EventFiles(DataKind):
    """Events of HDF5 files, which say themselves where electrons and photons are."""

    def given(self, data: Any, config: EgammaConfig, *, test: Any = None, **others: Any) -> Examples:
        """Names of data sets or paths, one or several; `Examples` as they are."""
        if isinstance(data, Examples):
            return data
        for name in others:
            _errors.fail_value(name, "none beside files of events, which have labels and are divided by shares", "some")
        return self.opened(Where(words_of("data", data), words_of("test", test)), config)

    def opened(self, where: Where, config: EgammaConfig) -> Examples:
        """Events of all files, divided by shares; those of test files are all for the test."""
        parts = divided(_found(where.data), _found(where.test) if where.test else None, config)
        source = {"files": _names(parts.files), "test": _names(parts.test_files) if where.test else None}
        return Examples(parts, parts, record=parts.describe(), source=source)

    def reopened(
        self, run: Path, where: Where, config: EgammaConfig, use: Literal["train", "test", "both"]
    ) -> Examples:
        """All events of the run, whatever for: a part is known by the whole."""
        about = read_config(run)
        source = about.get("source")
        if not isinstance(source, dict) or not isinstance(source.get("files"), list):
            _errors.fail_value(str(run / "config.json"), "the names of files under 'source'", source)
        if where.test and not source.get("test"):
            _errors.fail_value("test", f"none: {run} is judged by events of its own files", list(where.test))
        paths = _found(where.data) if where.data else source["files"]
        parts = divided(paths, _found(where.test) if where.test else source.get("test"), config)
        if about.get("data") != parts.fingerprint:
            _errors.fail_value("paths or test", f"the data with which {run} began", "others")
        parts.check_same(run)
        return Examples(parts, parts)

    def shape(self, examples: Examples) -> tuple[int, int, int]:
        """(C, H, W) of the events."""
        shape: tuple[int, int, int] = examples.train.files.shape
        return shape


EVENTS = EventFiles()


def words_of(name: str, paths: Any) -> tuple[str, ...]:
    """Names and paths as words; none where nothing is said."""
    found = places_in(paths)
    if found is None:
        _errors.fail_type(name, "the path of an HDF5 file of events, or several", type(paths).__name__)
    return found


def _found(words: tuple[str, ...]) -> list[str]:
    """The files that words name, of data sets all of theirs."""
    if not words:
        _errors.fail_value("DATA", "at least one HDF5 file of events", "none; `latentcore data simulate` writes one")
    found: list[str] = []
    for word in words:
        place = located(word, "events")
        found += words_of(word, place.path if place.dataset is None else place.loaded())
    return found


def _names(files: EgammaFiles) -> list[str]:
    return [str(file.path.resolve()) for file in files.files]


def _described(rows: np.ndarray) -> dict[str, Any]:
    return {"events": len(rows), "sha256": hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()}


def _check_different(files: EgammaFiles, others: EgammaFiles | None) -> None:
    """No event is in two files."""
    seen: dict[str, Path] = {}
    for file in (*files.files, *(() if others is None else others.files)):
        if (same := seen.setdefault(file.fingerprint, file.path)) is not file.path:
            _errors.fail_value(str(file.path), "events that no other file has", f"those of {same}")


def _check_classes(parts: Parts) -> None:
    """Every part has electrons and photons."""
    named = {"training": (parts.files, parts.train), "test": (parts.test_files, parts.test)}
    if parts.validation is not None:
        named["validation"] = (parts.files, parts.validation)
    for name, (files, rows) in named.items():
        electrons = int(files.labels[rows].sum())
        if not 0 < electrons < len(rows):
            paths = ", ".join(str(file.path) for file in files.files)
            got = f"{len(rows) - electrons} photons and {electrons} electrons"
            _errors.fail_value(f"events for {name} in {paths}", "both electrons and photons", got)
