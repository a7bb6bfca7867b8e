"""What `vae_loss` asks of its optional arguments and of its targets."""

import torch
from torch import Tensor
from torch.nn import Parameter

from latentcore import _checks, _errors
from latentcore._torch_private import is_visible
from latentcore.ops._transformed import is_tracked
from latentcore.reference import sum_dtype


def is_known(value: Tensor) -> bool:
    """Whether the values of a tensor can be looked at.

    A tensor of a subclass stands for one whose value is not known (under a compiler), as do all while calls are written
    down or transformed, and looking at a value on another device would wait for it.
    """
    known = type(value) in (Tensor, Parameter) and value.is_cpu and not torch.compiler.is_compiling()
    return known and is_visible(value)


def is_plain(value: float | Tensor) -> bool:
    """Whether a number can be looked at and is a constant."""
    return not isinstance(value, Tensor) or (is_known(value) and not value.requires_grad)


def requires_grad(*tensors: Tensor | None) -> bool:
    """Whether a gradient may be asked for in one of the tensors, of which the kernel has none."""
    return any(tensor is not None and is_tracked(tensor) for tensor in tensors)


def check_targets(target: Tensor, mask: Tensor | None, sample_weight: Tensor | None) -> None:
    """An error where a target is none of the Bernoulli likelihood's, of which the pass over the pixels made NaN.

    So nobody else looks at the targets, unless it is the logits that are NaN. Bytes are always right.
    """
    if target.dtype == torch.uint8:
        return
    outside = ~((target >= 0) & (target <= 1))
    if mask is not None:
        outside &= mask
    if sample_weight is not None:
        outside &= (sample_weight != 0).view(-1, *(1,) * (target.dim() - 1))
    if bool(outside.any()):
        _errors.fail_value("target", "numbers in [0, 1] for the Bernoulli likelihood", target[outside][0].item())


def checked_mask(mask: Tensor | None, logits: Tensor) -> Tensor | None:
    """Pixels that count, of the shape of `logits`."""
    if mask is None:
        return None
    _checks.dtype("mask", mask, (torch.bool,))
    _on_device("mask", mask, logits)
    return _checks.expanded("mask", mask, tuple(logits.shape), "logits")


def checked_sample_weight(weight: Tensor | None, logits: Tensor, reduction: str) -> Tensor | None:
    """Weights of the samples in the dtype of sums; for a mean they are shares of it, whose sum is 1."""
    if weight is None:
        return None
    _real("sample_weight", weight)
    _checks.shape("sample_weight", weight, (logits.shape[0],))
    _on_device("sample_weight", weight, logits)
    dtype = sum_dtype(logits.dtype)
    if weight.dtype not in _checks.FLOATING:
        weight = weight.double()
    if reduction == "none":
        weight = weight.to(dtype)
    if is_known(weight):
        wrong = weight[~((weight >= 0) & (weight < float("inf")))]
        if wrong.numel() > 0:
            _errors.fail_value("sample_weight", "finite numbers >= 0", wrong[0].item())
        if reduction == "mean" and not bool(weight.any()):
            _errors.fail_value("sample_weight", "a weight above 0, to find a mean", "none")
    if reduction == "mean":  # before they are narrowed, since weights are right in any unit
        weight = weight.to(torch.promote_types(weight.dtype, dtype))
        weight = weight / weight.amax(0, keepdim=True)  # whose sum is no more than their number
        weight = weight / weight.sum(0, keepdim=True)
    return weight.to(dtype)


def checked_pos_weight(weight: float | Tensor | None, logits: Tensor, likelihood: str) -> Tensor | None:
    """Weights of positive pixels, one for each pixel of a sample, in the dtype of sums."""
    if weight is None:
        return None
    if likelihood != "bernoulli":
        _errors.fail_value("pos_weight", f"None for the likelihood {likelihood!r}", type(weight).__name__)
    dtype = sum_dtype(logits.dtype)
    if not isinstance(weight, Tensor):
        _errors.number("pos_weight", weight, "a number or a tensor")
        if not 0 <= weight <= torch.finfo(dtype).max:
            _errors.fail_value("pos_weight", f"a number in [0, {torch.finfo(dtype).max:g}]", weight)
        # a sum, in which a compiler sees a variable
        weight = torch.zeros((), dtype=dtype, device=logits.device) + weight
    _real("pos_weight", weight)
    _on_device("pos_weight", weight, logits)
    return _checks.expanded("pos_weight", weight.to(dtype), tuple(logits.shape[1:]), "a sample")


def _real(name: str, value: Tensor) -> None:
    _checks.tensor(name, value)
    if value.is_complex():
        _errors.fail_type(name, "real numbers", str(value.dtype))


def _on_device(name: str, value: Tensor, logits: Tensor) -> None:
    if value.device != logits.device:
        _errors.fail_value(name, f"the device of logits, {logits.device}", value.device)
