"""What every operator's registration shares."""

from typing import Any, NoReturn

import torch

from latentcore import _native


def once_differentiable(operator: str) -> None:
    """Make a second derivative through a backward operator an error, not a silent constant."""

    def fail(ctx: Any, *grads: Any) -> NoReturn:
        raise RuntimeError(f"latentcore::{operator} is differentiable once only; there is no double backward")

    if _native.cpu_library.loaded:
        torch.library.register_autograd(f"latentcore::{operator}", fail)
