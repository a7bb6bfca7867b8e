"""A piece of work that is the same in every call: gone through once, then replayed without what led to its kernels."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch._C import _AutoDispatchBelowAutograd
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.graph import CodeGen

_log = logging.getLogger(__name__)
_DETACH, _TRANSPOSE = torch.ops.aten.detach.default, torch.ops.aten.t.default

Work = Callable[[], Sequence[Tensor | None]]
"""Returns tensors that it makes, and may read and write others in place, wherever they lie."""


class CudaGraph:
    """Work on CUDA as a graph from the fourth call on; a replay costs the host as much as one kernel."""

    WARM_UP = 3  # calls in which libraries take up their memory, as torch asks for

    def __init__(self, work: Work) -> None:
        self._work, self._calls = work, 0
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
            return made
        if self._calls == self.WARM_UP + 1:
            with torch.cuda.graph(self._graph):
                self._made = self._work()
        self._graph.replay()
        return self._made


class Program:
    """Work on the CPU as the list of torch's operators that it calls, those of the backward pass too.

    Modules, checks and autograd's own work take about as long as the operators of a small network. The program calls
    the operators alone, in their order and on the same memory, and so makes the same numbers.

    Args:
        work: It may not look at the value of a tensor that it makes.
        written: What it writes in place. Recording goes through the work once, and puts that back.

    Raises:
        Exception: The work looks at a value, or fails.
    """

    def __init__(self, work: Work, written: Sequence[Tensor]) -> None:
        with _undone(written):
            recorded = make_fx(lambda: work())()  # which counts the arguments of a method wrongly
        self._run, self._constants = _function(recorded.graph, recorded)

    def __call__(self) -> Sequence[Tensor | None]:
        """Do the work."""
        with torch.no_grad(), _AutoDispatchBelowAutograd():
            return self._run(*self._constants)


def program_of(work: Work, written: Sequence[Tensor]) -> Work:
    """The work as a `Program`, or itself where it cannot be recorded."""
    try:
        return Program(work, written)
    except Exception as error:  # whatever it is: the work says it itself when it is called
        _log.debug("steps are not recorded: %s", error)
        return work


@contextmanager
def _undone(written: Sequence[Tensor]) -> Iterator[None]:
    """What is written and drawn inside has not been, afterwards."""
    before, drawn = [tensor.clone() for tensor in written], torch.get_rng_state()
    try:
        yield
    finally:
        for tensor, kept in zip(written, before, strict=True):
            tensor.copy_(kept)
        torch.set_rng_state(drawn)


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
