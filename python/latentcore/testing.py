"""How near is near: the one place where tests, ours and our users', take their tolerances from."""

from pathlib import Path

import torch
from torch import Tensor

# norm of the difference over the norm, against a float64 reference
RELATIVE_ERROR = {torch.float32: 1e-5, torch.float64: 1e-12}


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of `expected`; 0 for two empty tensors."""
    actual, expected = actual.detach().double(), expected.detach().double()
    difference = (actual - expected).norm()
    return float(difference / expected.norm().clamp_min(1e-300)) if expected.numel() else 0.0


def assert_near(actual: Tensor, expected: Tensor, *, tolerance: float | None = None) -> None:
    """`actual` has the shape of `expected` and lies within its dtype's tolerance of it, by norm."""
    assert actual.shape == expected.shape, f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    limit = RELATIVE_ERROR[actual.dtype] if tolerance is None else tolerance
    error = relative_error(actual, expected)
    assert error <= limit, f"relative error {error:.3g}, allowed {limit:.3g}"


def assert_near_in_half(actual: Tensor, in_half: Tensor, expected: Tensor) -> None:
    """`actual` is at most twice as far from the float64 reference as plain torch in the same half type.

    The rounding of one result to that type is allowed on top: where torch happens to be exact, we need not be.
    """
    assert actual.shape == expected.shape, f"shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    error, allowed = relative_error(actual, expected), 2 * relative_error(in_half, expected)
    allowed += torch.finfo(actual.dtype).eps / 2
    assert error <= allowed, f"relative error {error:.3g}, allowed {allowed:.3g}"


def peak_memory_mb() -> float:
    """The most memory that this process has had so far, in MB, as Linux counts it.

    `getrusage` would count that of the process which started this one, if it was more.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
