"""What a caller has told torch for all its work does not reach into ours."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

_DEVICES = ("cpu", "cuda")


@contextmanager
def torch_as_usual(*, gradients: bool = True) -> Iterator[None]:
    """Inside, torch is as when it was imported: float32, the CPU, gradients, no autocast and no inference mode.

    Afterwards all is as the caller had it. Also a decorator of functions, each call of which is inside.

    Args:
        gradients: False: whether there are any is left to the caller.
    """
    dtype, wanted = torch.get_default_dtype(), gradients or torch.is_grad_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(wanted))
        for device in _DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        # only where there is one: it has a say in every call of a torch function
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
