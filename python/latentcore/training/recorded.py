"""Work that is the same in every call: recorded, then replayed without what led to its kernels."""

import ctypes
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node
from torch.fx.graph import CodeGen

from latentcore._torch_private import TorchDispatchMode, below_autograd, graph_of
from latentcore.training.python_state import COMMON, PythonState

_log = logging.getLogger(__name__)
_DETACH, _TRANSPOSE = torch.ops.aten.detach.default, torch.ops.aten.t.default
_CONSTANT, _INDEX = torch.ops.aten.lift_fresh.default, torch.ops.aten.index.Tensor
_TELLING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}

Work = Callable[[], Sequence[Tensor | None]]
"""Returns tensors that it makes, and may read and write others in place, wherever they lie."""


class CudaGraph:
    """Work on CUDA as a graph from the fourth call on; a replay costs the host as much as one kernel.

    If the last call before changes what Python holds, it is never a graph, and a warning says why.

    Args:
        work: What to do.
        owners: Objects whose code the work runs.
    """

    WARM_UP = 3  # calls in which libraries take up their memory, as torch asks for

    def __init__(self, work: Work, owners: Sequence[object]) -> None:
        self._work, self._calls, self._owners = work, 0, owners
        self.steady = True
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        self._made: Sequence[Tensor | None]

    def __call__(self) -> Sequence[Tensor | None]:
        """Do the work, on the current stream as far as others can see."""
        self._calls += 1
        if self._calls < self.WARM_UP:
            return self._warm_up()
        if self._calls == self.WARM_UP:
            before = PythonState(*self._owners, *COMMON)
            made = self._warm_up()
            if difference := before.found_to_change():
                warn_of(difference)
                self.steady = False
            return made
        if not self.steady:
            return self._work()
        if self._calls == self.WARM_UP + 1:
            with torch.cuda.graph(self._graph):
                self._made = self._work()
        self._graph.replay()
        return self._made

    def _warm_up(self) -> Sequence[Tensor | None]:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            made = self._work()
        torch.cuda.current_stream().wait_stream(self._stream)
        return made


class Recorded:
    """Work on the CPU as the list of torch's operators that it calls, those of the backward pass too.

    Modules, checks and autograd's own work take about as long as the operators of a small network. A replay calls the
    operators alone, in their order and on the same memory, and so makes the same numbers.

    The first two calls do the work as it is, and the second one is recorded. Only if both called the same operators,
    looked at no number, and the second one changed nothing that Python holds, are the others replays; otherwise they
    are the work itself. Some of the others, at distances that grow, do the work as it is too, and are compared with
    the first one: what is found then comes late, but ends the replays. A warning says why.

    Args:
        work: What to do.
        written: What it writes in place. Where it cannot be recorded, that is put back and the work done as it is.
        owners: Objects whose code the work runs.
    """

    CHECKED = 8  # the first replay that is none; the next ones are this power of it

    def __init__(self, work: Work, written: Sequence[Tensor], owners: Sequence[object]) -> None:
        self._work, self._written, self._owners = work, written, owners
        self._calls: list[str] | None = None
        self._replays, self._checked_next = 0, self.CHECKED
        self._call = self._first

    def __call__(self) -> Sequence[Tensor | None]:
        """Do the work."""
        return self._call()

    @property
    def steady(self) -> bool:
        """Whether the work has not been found to differ from call to call."""
        return self._call != self._work

    def _first(self) -> Sequence[Tensor | None]:
        self._call = self._second
        return self._checked(lambda work: work())

    def _second(self) -> Sequence[Tensor | None]:
        self._call = self._replay
        return self._checked(self._recorded)

    def _replay(self) -> Sequence[Tensor | None]:
        self._replays += 1
        if self._replays == self._checked_next:
            self._checked_next *= self.CHECKED
            return self._checked(lambda work: work())
        with torch.no_grad(), below_autograd():
            return self._run(*self._constants)

    def _recorded(self, work: Work) -> None:
        graph = graph_of(work)
        self._run, self._constants = _function(graph.graph, graph)

    def _checked(self, do: Callable[[Work], object]) -> Sequence[Tensor | None]:
        """Do the work as it is and compare it with the first call."""
        before, calls = PythonState(*self._owners, *COMMON), Calls()
        made: list[Tensor | None] = []

        def work() -> list[Tensor | None]:
            with calls:
                made[:] = self._work()
            return made

        try:
            with _undone_if_it_fails(self._written):
                do(work)
        except Exception as error:  # whatever it is: the work says it itself when it is called
            before.restore()
            self._give_up(str(error))
            return self._work()
        if calls.looks:
            self._give_up(calls.looks)
        elif self._calls is None:  # what it leaves behind in Python once and for all, a cache, is none of the work
            self._calls = calls.listed
        elif difference := before.found_to_change() or calls.difference(self._calls):
            warn_of(difference, self._replays)
            self._call = self._work
        return made

    def _give_up(self, reason: str) -> None:
        if self._replays:
            warn_of(reason, self._replays)
        _log.debug("steps are not recorded: %s", reason)
        self._call = self._work


class Calls(TorchDispatchMode):  # type: ignore[misc]
    """Lists the operators that are called inside, and on what.

    A tensor goes by the operator that has written it last, one from outside by its memory.

    Attributes:
        listed: A line for each operator.
        looks: An operator that tells Python of numbers, on which anything may depend; empty where there is none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.looks = ""
        self._writers: dict[int, str] = {}  # by place in memory

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), words: Any = None) -> Any:
        name = _by_numbers if operator is _CONSTANT else self._name
        line = f"the operator {operator} and its arguments {_replaced((arguments, words or {}), name)}"
        self.listed.append(line)
        if _tells(operator, arguments):
            self.looks = line
        made = operator(*arguments, **(words or {}))
        for number, tensor in enumerate(_leaves(made)):
            if isinstance(tensor, Tensor) and tensor.layout is torch.strided:
                self._writers[tensor.data_ptr()] = f"%{len(self.listed)}.{number}"
        return made

    def difference(self, others: list[str]) -> str:
        """The first operator that is called otherwise than in another list; empty where there is none."""
        if len(self.listed) != len(others):
            return "the number of operators"
        return next((one for one, other in zip(self.listed, others, strict=True) if one != other), "")

    def _name(self, tensor: Tensor) -> str:
        if tensor.layout is not torch.strided:
            return "another one"
        return self._writers.get(tensor.data_ptr(), str(tensor.data_ptr()))


def _replaced(thing: Any, name: Callable[[Tensor], object]) -> Any:
    """What an operator is called on, with names for its tensors."""
    if isinstance(thing, Tensor):
        return name(thing)
    if isinstance(thing, list | tuple):
        return [_replaced(part, name) for part in thing]
    return {key: _replaced(part, name) for key, part in thing.items()} if isinstance(thing, dict) else thing


def _leaves(made: Any) -> Iterator[Any]:
    """What an operator has made, one by one."""
    if not isinstance(made, list | tuple):
        yield made
        return
    for part in made:
        yield from _leaves(part)


def _by_numbers(tensor: Tensor) -> int:
    """Of a tensor that has just been made of Python's numbers, at no place that says anything."""
    return hash(ctypes.string_at(tensor.data_ptr(), tensor.nbytes))


def _tells(operator: Any, arguments: Any) -> bool:
    if operator is _INDEX:  # of which masks alone have to be counted
        return any(tensor is not None and tensor.dtype in (torch.bool, torch.uint8) for tensor in arguments[1])
    return not _TELLING.isdisjoint(operator.tags)


def warn_of(difference: str, replays: int = 0) -> None:
    """Say once why steps are not replayed, and how many were before that was known."""
    late = f"; {replays - 1} were replayed as the first ones before this was seen" if replays else ""
    warn(f"two of them differ in {difference}{late}")


def warn(reason: str) -> None:
    """Say that steps are not recorded, and why."""
    record = "TrainConfig.record = 'off' says that this is meant"
    warnings.warn(f"steps are not recorded, and take longer: {reason}; {record}", RuntimeWarning, stacklevel=3)


@contextmanager
def _undone_if_it_fails(written: Sequence[Tensor]) -> Iterator[None]:
    """What is written and drawn inside has not been, after an error."""
    before, drawn = [tensor.clone() for tensor in written], torch.get_rng_state()
    try:
        yield
    except Exception:
        for tensor, kept in zip(written, before, strict=True):
            tensor.copy_(kept)
        torch.set_rng_state(drawn)
        raise


def _function(graph: Graph, owner: nn.Module) -> tuple[Callable[..., Sequence[Tensor | None]], list[Tensor]]:
    """The recorded operators as a function of constants, and the constants."""
    constants = _without_views(graph, owner)
    graph.eliminate_dead_code()
    used = [node for node in graph.nodes if node in constants]
    for node in reversed(used):
        with graph.inserting_before(next(iter(graph.nodes))):
            node.replace_all_uses_with(graph.placeholder(node.name))
        graph.erase_node(node)
    graph.set_codegen(CodeGen())  # with plain arguments
    return GraphModule(nn.Module(), graph).forward, [constants[node] for node in used]


def _without_views(graph: Graph, owner: nn.Module) -> dict[Node, Tensor]:
    """Take out what autograd undoes again; the tensors that are the same in every call."""
    constants: dict[Node, Tensor] = {}
    for node in list(graph.nodes):
        if node.op == "get_attr":
            value = getattr(owner, node.target)
            constants[node] = value.detach() if isinstance(value, Tensor) else value
        elif node.target is _DETACH:
            node.replace_all_uses_with(node.args[0])
        elif node.target is _TRANSPOSE:
            (matrix,) = node.args
            if matrix in constants:
                constants[node] = constants[matrix].t()
            elif matrix.target is _TRANSPOSE:
                node.replace_all_uses_with(matrix.args[0])
    return constants
