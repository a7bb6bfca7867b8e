"""Work that is the same in every call: recorded, then replayed without what led to its kernels."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._C import _AutoDispatchBelowAutograd
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen
from torch.fx.node import map_arg

from latentcore.train.python_state import PythonState

_log = logging.getLogger(__name__)
_DETACH, _TRANSPOSE = torch.ops.aten.detach.default, torch.ops.aten.t.default

Work = Callable[[], Sequence[Tensor | None]]
"""Returns tensors that it makes, and may read and write others in place, wherever they lie."""


class CudaGraph:
    """Work on CUDA as a graph from the fourth call on; a replay costs the host as much as one kernel.

    If the calls before change what Python holds, it is never a graph, and a warning says why.

    Args:
        work: What to do.
        owners: Objects whose code the work runs.
    """

    WARM_UP = 3  # calls in which libraries take up their memory, as torch asks for

    def __init__(self, work: Work, owners: Sequence[object]) -> None:
        self._work, self._calls, self._before = work, 0, PythonState(*owners)
        self.steady = True
        self._graph, self._stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        self._made: Sequence[Tensor | None]

    def __call__(self) -> Sequence[Tensor | None]:
        """Do the work, on the current stream as far as others can see."""
        self._calls += 1
        if self._calls <= self.WARM_UP:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                made = self._work()
            torch.cuda.current_stream().wait_stream(self._stream)
            if self._calls == self.WARM_UP and (difference := found_to_change(self._before)):
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


class Recorded:
    """Work on the CPU as the list of torch's operators that it calls, those of the backward pass too.

    Modules, checks and autograd's own work take about as long as the operators of a small network. A replay calls the
    operators alone, in their order and on the same memory, and so makes the same numbers.

    The first two calls do the work as it is and record what it does. Only if both did the same, and neither changed
    what Python holds, are the others replays; otherwise they are the work itself, and a warning says why.

    Args:
        work: What to do.
        written: What it writes in place. Where it cannot be recorded, as it looks at the value of a tensor that it
            makes, that is put back and the work done as it is.
        owners: Objects whose code the work runs.
    """

    def __init__(self, work: Work, written: Sequence[Tensor], owners: Sequence[object]) -> None:
        self._work, self._written, self._owners = work, written, owners
        self._first: GraphModule | None = None
        self._call = self._record

    def __call__(self) -> Sequence[Tensor | None]:
        """Do the work."""
        return self._call()

    @property
    def steady(self) -> bool:
        """Whether the work has not been found to differ from call to call."""
        return self._call != self._work

    def _record(self) -> Sequence[Tensor | None]:
        before = PythonState(*self._owners)
        made: list[Tensor | None] = []

        def work() -> list[Tensor | None]:
            made[:] = self._work()
            return made

        try:
            with _undone_if_it_fails(self._written):
                recorded = make_fx(work)()
        except Exception as error:  # whatever it is: the work says it itself when it is called
            _log.debug("steps are not recorded: %s", error)
            before.restore()
            self._call = self._work
            return self._work()
        self._compare(before, recorded)
        return made

    def _compare(self, before: PythonState, recorded: GraphModule) -> None:
        if difference := found_to_change(before):
            self._refuse(difference)
        elif self._first is None:
            self._first = recorded
        elif difference := _difference(self._first, recorded):
            self._refuse(difference)
        else:
            self._first = None
            self._run, self._constants = _function(recorded.graph, recorded)
            self._call = self._replay

    def _refuse(self, difference: str) -> None:
        warn_of(difference)
        self._first, self._call = None, self._work

    def _replay(self) -> Sequence[Tensor | None]:
        with torch.no_grad(), _AutoDispatchBelowAutograd():
            return self._run(*self._constants)


def found_to_change(before: PythonState) -> str:
    """What a call has changed that a replay would not, in words; empty where that is nothing."""
    return before.changed() or ("" if before.complete else "more objects than are looked at")


def warn_of(difference: str) -> None:
    """Say once why steps are not replayed."""
    words = f"steps are not recorded, and take longer: two of them differ in {difference}"
    warnings.warn(f"{words}; TrainConfig.record = 'off' says that this is meant", RuntimeWarning, stacklevel=2)


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


def _difference(first: GraphModule, second: GraphModule) -> str:
    """An operator that one of two recordings calls otherwise; empty where there is none."""
    if len(first.graph.nodes) != len(second.graph.nodes):
        return "the number of operators"
    for one, other in zip(first.graph.nodes, second.graph.nodes, strict=True):
        if one.op == other.op == "get_attr":
            same = _same_tensor(getattr(first, one.target), getattr(second, other.target))
        else:
            same = (one.op, one.target, _named(one)) == (other.op, other.target, _named(other))
        if not same:
            return f"the operator {other.target} and its arguments {other.args}"
    return ""


def _named(node: Node) -> str:
    return repr(map_arg((node.args, node.kwargs), lambda argument: argument.name))


def _same_tensor(one: Tensor, other: Tensor) -> bool:
    if (one.shape, one.stride(), one.dtype) != (other.shape, other.stride(), other.dtype):
        return False
    return one.data_ptr() == other.data_ptr() or torch.equal(one, other)


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
            constants[node] = getattr(owner, node.target).detach()
        elif node.target is _DETACH:
            node.replace_all_uses_with(node.args[0])
        elif node.target is _TRANSPOSE:
            (matrix,) = node.args
            if matrix in constants:
                constants[node] = constants[matrix].t()
            elif matrix.target is _TRANSPOSE:
                node.replace_all_uses_with(matrix.args[0])
    return constants
