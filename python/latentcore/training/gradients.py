"""The gradients of a training step, which is recorded once and replayed."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from latentcore._torch_private import BATCH_NORMS, has_hooks, why_not_recorded
from latentcore.models.objectives import Objective, flattened
from latentcore.ops.reparameterize import first_row
from latentcore.training.plan import Inputs, Plan
from latentcore.training.python_kinds import is_library
from latentcore.training.python_state import PythonState
from latentcore.training.recorded import CudaGraph, Recorded, Work, warn
from latentcore.training.sources import Resident

_MANY = 500  # steps, on which the tenth of a second that recording takes is well spent


class Gradients:
    """Puts the gradients of one step after the other into the parameters of a model.

    All that differs between two steps is read from the device at a place that every step moves on. So a step is the
    same work each time: it is recorded, on CUDA as a graph, on the CPU as a list of operators, and replayed, unless
    model or objective keep something in Python from step to step.

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
        self._form: tuple[bool, bool, float | None, bool] | None = None
        self._held, self._moved, self._steady = PythonState(), False, True
        self._inputs: Inputs
        self._work: Work | Recorded | CudaGraph

    def begin(self, epoch: int, step: int = 0) -> None:
        """Go to a step of an epoch, with whose first one totals begin at zero."""
        frozen = self._plan.progress(epoch) >= self._plan.config.freeze_normalisation_at
        inputs = self._plan.inputs(epoch)
        _set_modes(self._plain, frozen=frozen)
        # a number, where it is one, makes the loss and its gradient in one pass
        self._beta = float(inputs.betas[0]) if bool((inputs.betas == inputs.betas[0]).all()) else None
        before, self._moved = self._moved, bool(self._held.changed())
        # what somebody has changed between two epochs twice in a row is expected to last for an epoch
        restless = before and self._moved
        form = (frozen, inputs.draws is None, self._beta, restless)
        same = form == self._form and not self._moved
        if same:  # a recorded step reads where it has read before
            self._inputs.take_over(inputs)
        self._plan.source.begin(epoch, step, self._plan.batch_size)
        if step == 0:
            self.totals.zero_()
        self._step.fill_(step)
        if not same:
            self._form, self._inputs = form, inputs
            self._work = self._recorded(self._plan.steps * (1 if restless else self._plan.config.epochs - epoch) - step)

    def __call__(self) -> None:
        """Do the next step's forward and backward pass."""
        self._plan.source.advance()
        self._forget()
        for parameter, gradient in zip(self._parameters, self._work(), strict=True):
            parameter.grad = gradient

    @torch.no_grad()
    def again(self) -> Tensor:
        """The objective's terms for what the last step learned from, with the weights that it has left. (T,)."""
        kept = [buffer.clone() for buffer in self._plain.buffers()]
        terms = self._terms(self._plain, self._inputs.at(self._step - 1), self._plan.config.accumulate - 1)
        for buffer, before in zip(self._plain.buffers(), kept, strict=True):
            buffer.copy_(before)
        return flattened(self._objective, terms)

    def _recorded(self, steps: int) -> Work | Recorded | CudaGraph:
        """What computes the gradients of each of so many steps."""
        self._held = PythonState()
        if not self._may_be_recorded():
            return self._compute
        source = self._plan.source
        owners = (self._plain, self._objective, *(() if is_library(type(source)) else (source,)))
        self._held = PythonState(*owners)
        if not self.totals.is_cuda and steps < _MANY:
            return self._compute
        if reason := why_not_recorded():
            self._steady = False
            warn(reason)
            return self._compute
        if self.totals.is_cuda:
            return CudaGraph(self._compute, owners)
        return Recorded(self._compute, [*self._plain.buffers(), self.totals, self._step], owners)

    def _may_be_recorded(self) -> bool:
        """Whether nobody is to be called in every step, nor another process, and a step is the same work each time."""
        work = getattr(self, "_work", None)  # which has been found to change from step to step, if it has
        self._steady = self._steady and (not isinstance(work, Recorded | CudaGraph) or work.steady)
        config = self._plan.config
        if not self._steady or config.record == "off" or self._plan.processes > 1 or has_hooks(self._plain):
            return False
        return self.totals.is_cuda or (self._beta is not None and self._model is self._plain and self._reads_in_place())

    def _reads_in_place(self) -> bool:
        """Whether the source finds its batches in the same memory, and does nothing between two steps."""
        source = self._plan.source
        return isinstance(source, Resident) and getattr(type(source), "advance", None) is Resident.advance

    def _forget(self) -> None:
        for parameter in self._parameters:  # Module.zero_grad looks for them in every layer, each time
            parameter.grad = None

    def _compute(self) -> list[Tensor | None]:
        now = self._inputs.at(self._step)
        for part in range(self._plan.config.accumulate):
            self._add_gradients_of(now, part)
        if clip := self._plan.config.gradient_clip:
            # in place and without a look at the numbers, for which every step would wait; the loss is checked instead
            nn.utils.clip_grad_norm_(self._plain.parameters(), clip)
        self._step += 1
        return [parameter.grad for parameter in self._parameters]

    def _add_gradients_of(self, now: Inputs, part: int) -> None:
        parts = self._plan.config.accumulate
        with self._talking_after(last=part == parts - 1):
            terms = self._terms(self._model, now, part)
            numbers = flattened(self._objective, terms)  # which looks whether they are as many as they should be
            self._backward(terms[0] / parts if parts > 1 else terms[0])
        self.totals.add_(numbers, alpha=1 / parts)

    def _terms(self, model: nn.Module, now: Inputs, part: int) -> Sequence[Tensor]:
        parts = self._plan.config.accumulate
        draws = None if now.draws is None else now.draws.chunk(parts, dim=1)[part]
        rows = now.rows.chunk(parts)[part]
        batch = self._plan.source.batch(rows, draws)
        beta = now.betas if self._beta is None else self._beta
        with noise_from(self._plan.rank * len(rows)):
            return self._objective(model, batch, beta=beta, seed=now.seeds[part])

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


def noise_from(row: int) -> AbstractContextManager[None]:
    """Inside, latent noise is that of the rows from `row` on; of a process that has the first row nothing is done."""
    return first_row(row) if row else nullcontext()


def _set_modes(model: nn.Module, *, frozen: bool) -> None:
    model.train()  # which leaves in evaluation mode what a model keeps so
    for layer in model.modules():
        if frozen and isinstance(layer, BATCH_NORMS):
            layer.eval()
