"""Electrons and photons in HDF5 files: read in a stream or as a whole, split, scaled and described."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.data._sizes import bytes_of, check_size
from latentcore.data.egamma.blocks import in_order
from latentcore.data.egamma.format import ELECTRON, PHOTON, read_file
from latentcore.data.egamma.stream import Events, EventStream
from latentcore.data.egamma.sums import Normalisation, Sums

__all__ = ["EgammaFiles", "EventStream", "Events", "Normalisation", "Split", "inspect"]

# shapes: N events of all files, n chosen ones, C channels, H rows and W columns of cells

_DTYPES = (*_checks.FLOATING, torch.uint8)


@dataclass(frozen=True)
class Split:
    """Events in parts, each with the same share of electrons.

    Attributes:
        seed: From which it was drawn.
        fractions: Of the parts; they sum to 1.
        fingerprint: That of the files.
        parts: Row numbers over all files, (n,), int64, sorted: for training and test, or for training, validation and
            test.
    """

    seed: int
    fractions: tuple[float, ...]
    fingerprint: str
    parts: tuple[np.ndarray, ...] = field(compare=False, repr=False)

    @property
    def train(self) -> np.ndarray:
        """The rows to train on, (n,)."""
        return self.parts[0]

    @property
    def validation(self) -> np.ndarray:
        """The rows to choose by, (n,); a ValueError in a split of two parts."""
        if len(self.parts) != 3:
            _errors.fail_value("validation", "a split in three parts", len(self.parts))
        return self.parts[1]

    @property
    def test(self) -> np.ndarray:
        """The rows to judge by, (n,)."""
        return self.parts[-1]

    def to_dict(self) -> dict[str, Any]:
        """What `EgammaFiles.split_of` makes the same split of, as JSON has it."""
        return {"seed": self.seed, "fractions": list(self.fractions), "fingerprint": self.fingerprint}


class EgammaFiles:
    """One or several HDF5 files of electrons and photons, as one sequence of events.

    A file has images ``X`` (N, H, W, C) and labels ``y`` (N,), 0 for a photon and 1 for an electron, of any real
    dtypes, in any chunks and however packed. Images are given out with channels first, (C, H, W), float32. Events are
    numbered through all files. Only labels are kept in memory; files are open while something is read.

    Args:
        paths: A path or several.
        labelled: False: ``y`` is not looked at, and all labels are 0.

    Attributes:
        files: What each file holds.
        labels: (N,), uint8.
        shape: (C, H, W).

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged, lacks a data set, has one that does not fit, or its images are of other sizes
            than those of the first file.

    Example:
        >>> import numpy as np, h5py
        >>> from latentcore.data.egamma import EgammaFiles
        >>> with h5py.File("events.h5", "w") as file:
        ...     file["X"], file["y"] = np.ones((10, 8, 8, 2), "f4"), np.arange(10) % 2
        >>> files = EgammaFiles("events.h5")
        >>> len(files), files.shape
        (10, (2, 8, 8))
        >>> split = files.split((0.8, 0.2), seed=0)
        >>> files.normalisation(split.train).mean
        (1.0, 1.0)
        >>> batch = next(files.stream(split.train, batch_size=4).epoch(0))
        >>> batch.images.shape, batch.labels.shape
        (torch.Size([4, 2, 8, 8]), torch.Size([4]))
    """

    def __init__(
        self, paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, labelled: bool = True
    ) -> None:
        found = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        if not found:
            _errors.fail_value("paths", "at least one file", "none")
        self.files = tuple(read_file(path, labelled=labelled) for path in found)
        first = self.files[0]
        for file in self.files[1:]:
            if file.shape[1:] != first.shape[1:]:
                expected = f"events of {first.shape[1:]}, as in {first.path}"
                _errors.fail_value(f"{file.path}: X", expected, file.shape[1:])
        self.labels = np.concatenate([file.labels for file in self.files])
        self.shape = first.reordered()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits of all labels, shapes, dtypes and each file's first event; names do not count."""
        return hashlib.sha256("".join(file.fingerprint for file in self.files).encode()).hexdigest()

    def split(self, fractions: Sequence[float] = (0.8, 0.2), *, seed: int = 42) -> Split:
        """Draw parts without replacement, with the same share of electrons in each, up to rounding.

        Args:
            fractions: Those of training and test, or of training, validation and test.
            seed: Any int >= 0.

        Raises:
            ValueError: The fractions are not two or three positive numbers that sum to 1, or a part would be empty.
        """
        _errors.integer("seed", seed, 0, 2**63 - 1)
        shares = tuple(map(float, fractions))
        if len(shares) not in (2, 3) or not all(s > 0 for s in shares) or abs(sum(shares) - 1) > 1e-9:
            _errors.fail_value("fractions", "two or three positive numbers that sum to 1", shares)
        drawn = []
        for label in (PHOTON, ELECTRON):
            rows = np.flatnonzero(self.labels == label)
            ends = np.rint(np.cumsum(shares[:-1]) * len(rows)).astype(np.int64)
            drawn.append(np.split(np.random.default_rng([seed, label]).permutation(rows), ends))
        parts = tuple(np.sort(np.concatenate(of_both)) for of_both in zip(*drawn, strict=True))
        if not all(map(len, parts)):
            _errors.fail_value("fractions", f"some of {len(self)} events in every part", [len(part) for part in parts])
        return Split(int(seed), shares, self.fingerprint, parts)

    def split_of(self, record: Mapping[str, Any]) -> Split:
        """The split of which `Split.to_dict` gave the record; other files than its own are a ValueError."""
        split = self.split(tuple(record["fractions"]), seed=record["seed"])
        if split.fingerprint != record["fingerprint"]:
            names = ", ".join(str(file.path) for file in self.files)
            _errors.fail_value(names, f"the files that were split, of {record['fingerprint']}", split.fingerprint)
        return split

    def stream(
        self,
        rows: np.ndarray | None = None,
        *,
        batch_size: int = 64,
        seed: int = 0,
        window: int = 10_000,
        memory_mb: float = 200.0,
        shuffle: bool = True,
    ) -> EventStream:
        """Batches that are read from the files in every epoch anew.

        Args:
            rows: (n,), sorted row numbers, as a split has them; None: all.
            batch_size: B.
            seed: Of the order, together with the epoch's number.
            window: Events that are mixed: rounded down to whole chunks, two at least.
            memory_mb: About how much to hold, in MB; what is more than a window serves to read ahead. Two chunks are
                held in any case, and one more as it is stored where HDF5 has to convert it.
            shuffle: False: rows in their order.

        Raises:
            TypeError: An argument is of a wrong type.
            ValueError: Rows are not sorted, or not there, or a number is outside its range.
        """
        _errors.integer("batch_size", batch_size, 1, 2**31 - 1)
        _errors.integer("seed", seed, 0, 2**63 - 1)
        _errors.integer("window", window, 1, 2**63 - 1)
        _errors.number("memory_mb", memory_mb)
        numbers = self._rows(rows)
        return EventStream(
            self.files, numbers, self.labels, int(batch_size), int(seed), int(window), float(memory_mb), bool(shuffle)
        )

    def load(
        self,
        rows: np.ndarray | None = None,
        *,
        dtype: torch.dtype | None = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Events:
        """Read events into the memory of a device, piece by piece.

        Args:
            rows: (n,), sorted row numbers, as a split has them; None: all.
            dtype: Of the images; None: that of the files, where it is one, and floating point or uint8.
            device: Where they shall be.

        Returns:
            Images (n, C, H, W), labels and rows.

        Raises:
            TypeError: The dtype is not floating point or uint8.
            ValueError: Rows are not sorted, or not there; a file is damaged, promises far more than it stores, or holds
                NaN or infinity.
        """
        numbers, stored = self._rows(rows), self._stored()
        for file in self.files:
            check_size(f"{file.path}: X", bytes_of(file.shape, file.dtype.itemsize), file.stored)
        if dtype is None and stored is None:
            _errors.fail_type("dtype", "one for all files", ", ".join(sorted({str(f.dtype) for f in self.files})))
        wanted = dtype or stored
        if wanted not in _DTYPES:
            _errors.fail_type("dtype", "floating point or uint8", wanted)
        # what is wanted as it is stored is not converted on the way
        between = wanted if wanted == stored else torch.float32
        images = torch.empty((len(numbers), *self.shape), dtype=wanted, device=device)
        done = 0
        for own, piece in in_order(self.files, numbers, between):
            images[done : done + len(own)] = piece.to(device)
            done += len(own)
        labels, places = self._labels(numbers), torch.from_numpy(numbers)
        return Events(images, labels.to(device), places.to(device))

    def normalisation(self, rows: np.ndarray | None = None) -> Normalisation:
        """How large the numbers of each channel are, in one pass over the rows; they are added in float64."""
        return self.sums(rows).normalisation()

    def sums(self, rows: np.ndarray | None = None) -> Sums:
        """What one pass over some sorted rows adds up."""
        sums = Sums(self.shape)
        for own, images in in_order(self.files, self._rows(rows)):
            sums.add(images, self._labels(own))
        return sums

    def content_hash(self, rows: np.ndarray | None = None) -> str:
        """64 hexadecimal digits of some sorted rows; damaged ones, or those with NaN or infinity, are a ValueError."""
        digest = hashlib.sha256()
        for _, images in in_order(self.files, self._rows(rows)):
            digest.update(images.numpy().data)
        return digest.hexdigest()

    def _labels(self, rows: np.ndarray) -> Tensor:
        return torch.from_numpy(self.labels[rows].astype(np.int64))

    def _stored(self) -> torch.dtype | None:
        """The dtype of all files' images, if it is one that torch has too."""
        found = {file.dtype.newbyteorder("=") for file in self.files}
        return getattr(torch, str(found.pop()), None) if len(found) == 1 else None

    def _rows(self, rows: np.ndarray | None) -> np.ndarray:
        if rows is None:
            return np.arange(len(self))
        found = np.asarray(rows)
        if found.dtype.kind not in "iu":
            _errors.fail_type("rows", "whole numbers", found.dtype)
        if found.ndim != 1 or len(found) == 0:
            _errors.fail_value("rows", "shape (n,) with n >= 1", found.shape)
        found = found.astype(np.int64)
        if (np.diff(found) <= 0).any() or found[0] < 0 or found[-1] >= len(self):
            _errors.fail_value("rows", f"sorted numbers in [0, {len(self) - 1}], each once", found)
        return found


def inspect(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file holds, in one pass that needs memory for two chunks.

    Args:
        path: An HDF5 file of electrons and photons.

    Returns:
        ``path``; ``shape`` (N, H, W, C); ``dtype`` and ``label_dtype``; ``chunks``, None where there are none;
        ``compression``, a list of filters; ``classes``, events of either class; for each channel ``minimum``,
        ``maximum`` and ``zeros``, the share of cells that are zero, and a `Normalisation` as ``normalisation``;
        ``mean_images`` (2, C, H, W), float64, of photons and of electrons.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, lacks a data set, or has one that does not fit.

    Example:
        >>> import numpy as np, h5py
        >>> from latentcore.data.egamma import inspect
        >>> with h5py.File("events.h5", "w") as file:
        ...     file["X"], file["y"] = np.ones((10, 8, 8, 2), "f4"), np.arange(10) % 2
        >>> found = inspect("events.h5")
        >>> found["shape"], found["dtype"], found["classes"], found["zeros"]
        ((10, 8, 8, 2), 'float32', {'photon': 5, 'electron': 5}, [0.0, 0.0])
    """
    files = EgammaFiles(path)
    file, sums = files.files[0], files.sums()
    electrons = int(file.labels.sum())
    return {
        "path": str(file.path),
        "shape": file.shape,
        "dtype": str(file.dtype),
        "label_dtype": str(file.label_dtype),
        "chunks": file.chunks,
        "compression": list(file.filters),
        "classes": {"photon": len(file) - electrons, "electron": electrons},
        "normalisation": sums.normalisation(),
        **sums.summary(),
    }
