"""Averages of a model's weights over the last steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averages:
    """Exponential moving averages of the weights and normalisation statistics of a model.

    Args:
        model: On its device.
        decay: Weight of what was before, in (0, 1).

    Reference:
        Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    def update(self) -> None:
        """Take in the weights of a step; the first ones are the average."""
        self._averaged.update_parameters(self._model)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as tensors."""
        return self._averaged.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._averaged.load_state_dict(state)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        # the memory is exchanged, not what is in it: a recorded step finds it where it was
        for own, averaged in zip(_tensors(self._model), _tensors(self._averaged.module), strict=True):
            own.data, averaged.data = averaged.data, own.data


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    return chain(model.parameters(), model.buffers())
