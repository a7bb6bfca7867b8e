"""What a caller has told torch for all its work does not reach into ours."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from latentcore import _forks
from latentcore._torch_private import function_modes

_DEVICES = ("cpu", "cuda")


class _Float32:
    """float32 as the default dtype, which all threads share: the last one that leaves puts the caller's back."""

    def __init__(self) -> None:
        self._inside, self._before = 0, torch.float32
        self.renew()

    def renew(self) -> None:
        """Another lock: in a forked process the old one may be held by a thread that is not there."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_default_dtype()
            self._inside += 1
            torch.set_default_dtype(torch.float32)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_default_dtype(self._before)


_float32 = _Float32()
os.register_at_fork(after_in_child=_float32.renew)


@contextmanager
def torch_as_usual(*, gradients: bool = True) -> Iterator[None]:
    """Inside, torch is as when it was imported: float32, the CPU, gradients, no autocast and no inference mode.

    Afterwards all is as the caller had it. Also a decorator of functions, each call of which is inside.

    Args:
        gradients: False: whether there are any is left to the caller.
    """
    _forks.check_threads()
    wanted = gradients or torch.is_grad_enabled()
    # only what is otherwise: calls on single samples are counted in microseconds
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if torch.is_grad_enabled() != wanted:
            stack.enter_context(torch.set_grad_enabled(wanted))
        for device in _DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        # only where there is one, which is a mode: it has a say in every call of a torch function
        if function_modes() and torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(_float32)
        yield
