"""Samples of many mixtures, and their weights, as tensors; a complaint names the first mixture it is about."""

from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _errors
from latentcore.mixture import _arrays

# shapes: B mixtures, (B, N, D) samples, (B, N) weights


def checked(X: Any, sample_weight: Any) -> tuple[Tensor, Tensor | None]:
    """Contiguous float32 or float64 samples and their weights; arrays share memory where they can.

    Samples of weight 0 may be anything, all others are finite. The weights are float64 where the samples' dtype has no
    room for them.
    """
    x = _tensor("X", X)
    if x.dim() != 3 or 0 in x.shape:
        _errors.fail_value("X", "shape (B, N, D) with B, N and D >= 1", tuple(x.shape))
    x = _arrays.floating(x)
    finite, weight = x.isfinite().all(-1), None
    if sample_weight is not None:
        weight = _tensor("sample_weight", sample_weight).to(x.device, torch.float64)
        _checks.shape("sample_weight", weight, tuple(x.shape[:2]))
        fine = (weight.isfinite() & (weight >= 0)).all(1) & (weight > 0).any(1)
        check_each("sample_weight", fine, "finite numbers >= 0, not all zero", "others")
        greatest = weight.amax(1)
        possible = (greatest >= _arrays.LEAST_WEIGHT) & (greatest <= _arrays.MOST_WEIGHT)
        check_each("sample_weight", possible, _arrays.POSSIBLE_WEIGHTS, "others")
        finite |= weight == 0
        weight = _arrays.with_room(weight, x.dtype)
    check_each("X", finite.all(1), "finite numbers", "NaN or infinity")
    return x.contiguous(), None if weight is None else weight.contiguous()


def in_units(weight: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The weights in a dtype, those of each mixture in a unit of their own where it has no room for them."""
    if weight is None or weight.dtype == dtype:
        return weight
    return _arrays.in_unit(weight, weight.amax(1, keepdim=True), dtype)[0]


def check_counts(x: Tensor, weight: Tensor | None, n_components: int) -> None:
    """Every mixture has at least K samples that count."""
    if weight is None:
        if x.shape[1] < n_components:
            _errors.fail_value("X", f"at least n_components = {n_components} samples of each mixture", x.shape[1])
        return
    counts = (weight > 0).sum(1)
    expected = f"at least n_components = {n_components} samples of weight > 0"
    check_each("sample_weight", counts >= n_components, expected, "fewer")


def _tensor(name: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        _arrays.check_dense(name, values)
        if values.is_complex():
            _errors.fail_type(name, "real numbers", str(values.dtype))
        return values.detach()
    return _arrays.shared(_arrays.numbers(name, _arrays.array_like(name, values, "an array or tensor of real numbers")))


def check_each(name: str, holds: Tensor, expected: str, got: str) -> None:
    """Something, (B,), holds for every mixture."""
    if not bool(holds.all()):
        _errors.fail_value(name, expected, f"{got} in mixture {int((~holds).int().argmax())}")
