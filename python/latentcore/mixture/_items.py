"""What iterables, data loaders and data sets give, as samples: beside them may stand labels and anything else."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from latentcore import _errors
from latentcore.mixture import _arrays

# shapes: (n, D) a piece, (D,) a sample


def collated(items: list[Any]) -> Any:
    """Torch's `default_collate`; but samples that it does not take are taken as those of a data set are.

    An error is returned, for `first_entry`: out of a loader's process it would come with a traceback in its words.
    """
    try:
        return default_collate(items)
    except (TypeError, ValueError, RuntimeError):
        pass
    try:
        return rows(items)
    except (TypeError, ValueError) as refusal:
        return refusal


def first_entry(batch: Any) -> Any:
    """The samples of a loader's batch, beside which may stand anything."""
    if isinstance(batch, Exception):
        raise batch
    apart = isinstance(batch, list | tuple) and {_dimensions(entry) for entry in batch} == {1}
    if apart:  # a feature each, which `default_collate` makes of samples that are lists of numbers
        _errors.fail_value("X", "batches of shape (n, D)", f"{len(batch)} tensors of shape {tuple(batch[0].shape)}")
    several = isinstance(batch, list | tuple) and [_dimensions(entry) for entry in batch[:1]] == [2]
    return batch[0] if several else batch


def row(item: Any) -> np.ndarray:
    """The numbers (D,) of one item of a data set, beside which may stand anything."""
    with suppress(ValueError):  # parts of different shapes, which are refused below
        if isinstance(item, list | tuple) and item and (np.ndim(item[0]) == 1 or isinstance(item[0], Mapping)):
            item = item[0]
    _refuse_dict("samples of real numbers", item)
    if isinstance(item, Tensor):
        found = _arrays.floating(item).cpu().numpy()
    else:
        found = _arrays.numbers("X", item, "samples of real numbers")
    if found.ndim != 1:
        _errors.fail_value("X", "samples of shape (D,)", found.shape)
    return found


def rows(items: Sequence[Any]) -> np.ndarray:
    """The numbers (n, D) of some items of a data set."""
    found = [row(item) for item in items]
    if other := next((one.shape for one in found if one.shape != found[0].shape), None):
        _errors.fail_value("X", f"samples of shape {found[0].shape}, as others have", other)
    return np.stack(found)


def of_piece(piece: Any) -> Tensor:
    """A copy of a piece as an iterable gives it, which may fill the same memory with the next one.

    Of a tuple it is the first entry, where that has two dimensions. Of a list too, unless the second may be samples as
    well: as many rows of another length are labels.
    """
    expected = "pieces of real numbers"
    if isinstance(piece, list | tuple) and piece and _dimensions(piece[0]) == 2:
        if isinstance(piece, list) and len(piece) > 1 and _dimensions(piece[1]) == 2:
            _refuse_several(piece)
        piece = piece[0]
    _refuse_dict(expected, piece)
    if isinstance(piece, Tensor):
        return piece.detach().clone()
    return torch.from_numpy(np.array(_arrays.numbers("X", piece, expected)))


def _dimensions(entry: Any) -> int:
    """Of an array or tensor; all else has none."""
    return int(getattr(entry, "ndim", 0))


def _refuse_several(piece: list[Any]) -> None:
    first, second = (tuple(entry.shape) for entry in piece[:2])
    if first[0] != second[0] or first == second:
        _errors.fail_value("X", "pieces of shape (n, D)", f"a list of arrays of shapes {first}, {second}")


def _refuse_dict(expected: str, value: Any) -> None:
    if isinstance(value, Mapping):
        _errors.fail_type("X", expected, f"a dict of {', '.join(map(str, value))}: give one of them")
