"""The gradients of a training step; on CUDA recorded once and replayed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from latentcore.train.objectives import Objective, flattened
from latentcore.train.plan import Inputs, Plan


class Gradients:
    """Puts the gradients of one step after the other into the parameters of a model.

    All that differs between two steps is read from the device at a place that every step moves on. So a step is the
    same work each time, and on CUDA it becomes a graph, whose replay costs the host as much as one kernel.

    Args:
        fabric: Where and how precisely to compute.
        model: The model, as a step calls it.
        plain: The same model, without a wrapper.
        objective: What is minimised.
        plan: The steps, whose source is on the device.

    Attributes:
        totals: Sums of the objective's terms over the steps of the epoch, on the device. (T,), float32.
    """

    def __init__(self, fabric: Fabric, model: nn.Module, plain: nn.Module, objective: Objective, plan: Plan) -> None:
        self._fabric, self._model, self._plain, self._objective, self._plan = fabric, model, plain, objective, plan
        self._parameters = list(plain.parameters())
        self.totals: Tensor = torch.zeros(objective.size, device=plan.source.device)
        self._step = torch.zeros(1, dtype=torch.int64, device=plan.source.device)
        self._form: tuple[bool, bool] | None = None
        self._inputs: Inputs
        self._recorded: Recorded | None = None

    def begin(self, epoch: int, step: int = 0) -> None:
        """Go to a step of an epoch, with whose first one totals begin at zero."""
        frozen = self._plan.progress(epoch) >= self._plan.config.freeze_normalisation_at
        inputs = self._plan.inputs(epoch)
        _set_modes(self._plain, frozen=frozen)
        form = (frozen, inputs.draws is None)
        if form == self._form:  # a recorded step reads where it has read before
            self._inputs.take_over(inputs)
        else:
            self._form, self._inputs = form, inputs
            # processes talk to each other within a step, which is not recorded
            alone = self._plan.processes == 1
            self._recorded = Recorded() if self.totals.is_cuda and alone else None
        self._plan.source.begin(epoch, step, self._plan.batch_size)
        if step == 0:
            self.totals.zero_()
        self._step.fill_(step)

    def __call__(self) -> None:
        """Do the next step's forward and backward pass."""
        self._plan.source.advance()
        if self._recorded is None:
            self._compute()
        else:
            self._recorded(self._compute)

    def _compute(self) -> None:
        now = self._inputs.at(self._step)
        for parameter in self._parameters:  # Module.zero_grad looks for them in every layer, each time
            parameter.grad = None
        for part in range(self._plan.config.accumulate):
            self._add_gradients_of(now, part)
        if clip := self._plan.config.gradient_clip:
            # in place and without a look at the numbers, for which every step would wait; the loss is checked instead
            nn.utils.clip_grad_norm_(self._plain.parameters(), clip)
        self._step += 1

    def _add_gradients_of(self, now: Inputs, part: int) -> None:
        parts = self._plan.config.accumulate
        draws = None if now.draws is None else now.draws.chunk(parts, dim=1)[part]
        batch = self._plan.source.batch(now.rows.chunk(parts)[part], draws)
        with self._talking_after(last=part == parts - 1):
            terms = self._objective(self._model, batch, beta=now.betas, seed=now.seeds[part])
            self._backward(terms[0] / parts if parts > 1 else terms[0])
        self.totals.add_(flattened(terms), alpha=1 / parts)

    def _talking_after(self, *, last: bool) -> AbstractContextManager[None]:
        """Processes exchange their gradients after the last part alone."""
        if last or self._plan.processes == 1:
            return nullcontext()
        return self._fabric.no_backward_sync(self._model)  # type: ignore[arg-type]

    def _backward(self, loss: Tensor) -> None:
        if self._model is self._plain:
            loss.backward()
        else:
            self._fabric.backward(loss)


class Recorded:
    """A piece of work that is the same in every call, as a CUDA graph from the fourth call on."""

    WARM_UP = 3  # calls in which libraries take up their memory, as torch asks for

    def __init__(self) -> None:
        self._calls, self._graph, self._stream = 0, torch.cuda.CUDAGraph(), torch.cuda.Stream()

    def __call__(self, work: Callable[[], None]) -> None:
        """Do the work, on the current stream as far as others can see."""
        self._calls += 1
        if self._calls <= self.WARM_UP:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                work()
            torch.cuda.current_stream().wait_stream(self._stream)
            return
        if self._calls == self.WARM_UP + 1:
            with torch.cuda.graph(self._graph):
                work()
        self._graph.replay()


def _set_modes(model: nn.Module, *, frozen: bool) -> None:
    model.train()  # which leaves in evaluation mode what a model keeps so
    for layer in model.modules():
        if frozen and isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.eval()
