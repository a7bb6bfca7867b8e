"""Rules by which a dimension that torch.vmap maps over becomes a part of an operator's own dimensions."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Mapped(NamedTuple):
    """What an operator is called with at a level of vmap, and its derivative, to which the same rule applies.

    Attributes:
        size: Of the mapped dimension.
        inputs: The operator's arguments; of a derivative all that `setup_context` saved, then the results' gradients.
        dims: Where the mapped dimension is in each of them; None where it is not.
        needed: None; of a derivative the places of the arguments whose gradients are its results, in order.
    """

    size: int
    inputs: tuple[Any, ...]
    dims: tuple[int | None, ...]
    needed: tuple[int, ...] | None = None

    def at(self, place: int, dim: int) -> Any:
        """An input with the mapped dimension as its dimension `dim`; one that lacks it is expanded, not copied."""
        value, found = self.inputs[place], self.dims[place]
        if not isinstance(value, Tensor):
            return value
        if found is not None:
            return value if found == dim else value.movedim(found, dim)
        return value.unsqueeze(dim).expand(*value.shape[:dim], self.size, *value.shape[dim:])


# From the operator, to be called without this level, and what is mapped: the results, and the mapped dimension's place,
# the same in all of them.
Fold = Callable[[Callable[..., Any], Mapped], tuple[Any, int]]


def in_front(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
    """Where all tensors may have any number of dimensions in front."""
    return call(*(mapped.at(place, 0) for place in range(len(mapped.inputs)))), 0


def merge(call: Callable[..., Any], mapped: Mapped, places: Collection[int], dim: int, first: int) -> tuple[Any, int]:
    """Where the mapped dimension can be one with another of the inputs at these places and of all results.

    It becomes dimension `dim`, and `first` and `first + 1` are made one.
    """
    inputs, sizes = list(mapped.inputs), torch.Size()
    for place in places:
        value = mapped.at(place, dim)
        if isinstance(value, Tensor):
            inputs[place], sizes = value.flatten(first, first + 1), value.shape[first : first + 2]
    results = call(*inputs)
    if isinstance(results, Tensor):
        return torch.unflatten(results, first, sizes), dim
    return tuple(torch.unflatten(result, first, sizes) for result in results), dim


def one_by_one(call: Callable[..., Any], mapped: Mapped) -> tuple[Any, int]:
    """For any operator, and slow: a call for each index of the mapped dimension."""
    pairs = list(zip(mapped.inputs, mapped.dims, strict=True))
    if mapped.size == 0:  # one call tells the results' shapes
        pairs = [(x if dim is None else _one_of(x, dim), dim) for x, dim in pairs]
    rows = [
        call(*(x if dim is None else x.select(dim, index) for x, dim in pairs)) for index in range(max(mapped.size, 1))
    ]
    if isinstance(rows[0], Tensor):
        return torch.stack(rows)[: mapped.size], 0
    return tuple(torch.stack(results)[: mapped.size] for results in zip(*rows, strict=True)), 0


def _one_of(tensor: Tensor, dim: int) -> Tensor:
    """Zeros with a dimension of size 1 in the place of one of size 0."""
    return tensor.new_zeros([1 if place == dim else size for place, size in enumerate(tensor.shape)])
