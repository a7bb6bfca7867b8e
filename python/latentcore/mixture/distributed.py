"""A mixture that several processes fit together: each holds its shard of the samples, sums go round.

What a process sends in an iteration is the sums that an M-step needs, K·(D² + D + 1) + 1 numbers for full covariances,
however many samples there are. All processes receive the same sums, so all take the same steps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed as dist

from latentcore import _errors

# shapes: (n, ...) rows of this process, (N, ...) those of all, in the order of the processes


class Group:
    """The processes that fit one mixture: here one alone, which has nobody to talk to."""

    def sum(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Each value summed over the processes."""
        return list(values)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, (N, ...)."""
        return rows

    def edges(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A number's sum over the processes before this one, the same with this one, and that over all."""
        return torch.zeros_like(value), value, value

    def random(self, random: np.random.RandomState) -> np.random.RandomState:
        """A generator that draws the same numbers in every process."""
        return random

    def same(self, name: str, value: int) -> None:
        """Refuse a number that is not the same in every process."""

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """What fails here fails in every process: none is left waiting for one that has given up."""
        yield


class ProcessGroup(Group):
    """The processes of a `torch.distributed` group.

    Args:
        group: The group; NCCL's for samples on CUDA devices, gloo's for samples on the CPU.
    """

    def __init__(self, group: Any) -> None:
        self._group, self._rank, self._size = group, dist.get_rank(group), dist.get_world_size(group)
        on_cuda = dist.get_backend(group) == "nccl"
        self._device = torch.device("cuda", torch.cuda.current_device()) if on_cuda else torch.device("cpu")

    def sum(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Each value summed over the processes, in float64, as one message."""
        packed = torch.cat([value.double().reshape(-1) for value in values])
        dist.all_reduce(packed, group=self._group)
        parts = packed.split([value.numel() for value in values])
        return [part.view(value.shape).to(value.dtype) for part, value in zip(parts, values, strict=True)]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all processes, in their order, each process with as many as it has."""
        counts = self._each(torch.tensor(float(len(rows)), dtype=torch.float64)).long().tolist()
        padded = rows.new_zeros((max(counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=self._group)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def edges(self, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A number's sum over the processes before this one, the same with this one, and that over all."""
        # one running sum, so that the end of a process is the beginning of the next to the last bit
        running = torch.nn.functional.pad(self._each(value).cumsum(0), (1, 0)).to(value)
        return running[self._rank], running[self._rank + 1], running[-1]

    def random(self, random: np.random.RandomState) -> np.random.RandomState:
        """A copy of the first process's generator."""
        state = random.get_state(legacy=False)
        words, generator = state["state"]["key"], state["bit_generator"]
        rest = [state["state"]["pos"], state["has_gauss"], state["gauss"]]
        own = torch.tensor([*words.tolist(), *rest], dtype=torch.float64, device=self._device)
        *words, place, has_normal, normal = self.sum([own * (self._rank == 0)])[0].tolist()
        same = np.random.RandomState()
        same.set_state((generator, np.array(words, dtype=np.uint32), int(place), int(has_normal), normal))
        return same

    def same(self, name: str, value: int) -> None:
        """Refuse a number that is not the same in every process."""
        numbers = self._each(torch.tensor(float(value), dtype=torch.float64)).long().tolist()
        if len(set(numbers)) > 1:
            _errors.fail_value(name, "the same number in every process", numbers)

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """What fails here fails in every process."""
        failure: Exception | None = None
        try:
            yield
        except Exception as error:
            failure = error
        failed = self._each(torch.tensor(float(failure is not None), dtype=torch.float64)).nonzero().flatten().tolist()
        if failure is not None:
            raise failure
        if failed:
            raise ValueError(f"X: expected samples that every process can use, got an error in process {failed[0]}")

    def _each(self, value: Tensor) -> Tensor:
        """A number of every process, (processes,)."""
        numbers = torch.zeros(self._size, dtype=torch.float64, device=self._device)
        numbers[self._rank] = value
        dist.all_reduce(numbers, group=self._group)
        return numbers


def group_of(group: Any) -> Group:
    """What the user passed as `group`: None is one process alone."""
    if group is None:
        return Group()
    if not (dist.is_available() and dist.is_initialized()):
        _errors.fail_value("group", "a process group of torch.distributed", "none: call init_process_group first")
    if dist.get_rank(group) < 0:
        _errors.fail_value("group", "a group that this process is in", "another")
    return ProcessGroup(group)
