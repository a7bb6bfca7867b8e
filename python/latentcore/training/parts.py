"""Which calorimeter events are for training, which to choose a model by, and which to judge it by."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning_fabric import Fabric

from latentcore import _config, _errors
from latentcore._memory import available
from latentcore.data.egamma import EgammaFiles
from latentcore.data.held_out import read_record, record_path

# shapes: N events of all files, n of them

_RESIDENT = 0.25  # of the free memory that resident events may fill

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class EventsConfig:
    """How events are divided, scaled and kept.

    Attributes:
        validation: Share of the events by which the best weights are chosen; 0 keeps the last ones.
        test: Share by which the model is judged, where no files are given for that. The rest is for training. Each part
            has the same share of electrons.
        split_seed: From which the parts are drawn.
        scaling: Of the channels, as `latentcore.data.egamma.Normalisation` has it; measured on the training events.
        storage: "resident": training events in the memory of the device, mixed anew in every epoch; "streamed": read
            from the files in every epoch; "auto": resident where they fill less than a quarter of the free memory.
        window: Streamed events that are mixed.
        memory_mb: About how much memory of each process streamed events may hold, in MB.
    """

    validation: float = 0.1
    test: float = 0.1
    split_seed: int = 42
    scaling: Literal["standard", "nonzero", "maximum"] = "standard"
    storage: Literal["auto", "resident", "streamed"] = "auto"
    window: int = 10_000
    memory_mb: float = 200.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("validation", "test"):
            _config.in_range(self, name, 0, 0.99)
        if self.validation + self.test > 0.99:
            _errors.fail_value("EventsConfig.test", f"less than {0.99 - self.validation:g}", self.test)
        _config.in_range(self, "split_seed", 0, 2**63 - 1)
        _config.in_range(self, "window", 1)
        _config.in_range(self, "memory_mb", 1)


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


def divided(paths: Paths, test: Paths | None, config: EventsConfig) -> Parts:
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
    if others is None and config.test == 0:
        _errors.fail_value("EventsConfig.test", "more than 0 where there is no test file", config.test)
    held_out = {"validation": config.validation, "test": config.test if others is None else 0.0}
    shares = {"train": 1 - sum(held_out.values()), **{name: share for name, share in held_out.items() if share}}
    whole = len(shares) == 1
    drawn = (np.arange(len(files)),) if whole else files.split(tuple(shares.values()), seed=config.split_seed).parts
    rows = dict(zip(shares, drawn, strict=True))
    judge, judged = (files, rows["test"]) if others is None else (others, np.arange(len(others)))
    parts = Parts(files, rows["train"], rows.get("validation"), judge, judged)
    _check_classes(parts)
    return parts


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


def storage_of(config: EventsConfig, parts: Parts, fabric: Fabric) -> Literal["resident", "streamed"]:
    """Where the events shall be, decided once for all processes and for the whole training."""
    if config.storage != "auto":
        return config.storage
    held = len(parts.train) + (0 if parts.validation is None else len(parts.validation))
    size = held * 4 * int(np.prod(parts.files.shape))
    if fabric.device.type == "cuda":
        free = torch.cuda.mem_get_info(fabric.device)[0]
    else:
        size, free = size * fabric.world_size, available()  # the processes share it
    return "resident" if size < _RESIDENT * free else "streamed"
