"""What torch keeps to itself and may change, as far as latentcore uses it, and what serves where a torch lacks it.

No other module uses such a name. All are looked up once, when this module is imported, so that a call costs what it
costs by torch's own name. Without some of them operators and steps take longer; results stay what they are, since what
serves instead are torch's public ways, or the twins in `latentcore.reference`.
"""

import inspect
import operator
import pkgutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

NAMES: list[str] = []
"""All that is looked up."""

LACKING: list[str] = []
"""Those of them that this torch lacks; `latentcore info` shows them."""


def _found(name: str, instance: object = None) -> Any:
    """What a name stands for, of an instance where one is given; None where this torch lacks it."""
    NAMES.append(name)
    try:
        return pkgutil.resolve_name(name) if instance is None else getattr(instance, name.rpartition(".")[2])
    except (ImportError, AttributeError):
        LACKING.append(name)
        return None


def _lacking(*names: str) -> str:
    """Which of some names this torch lacks, in words; empty where it has them all."""
    lacking = [name for name in names if name in LACKING]
    return f"torch {torch.__version__} lacks {', '.join(lacking)}" if lacking else ""


# ---- which kernels there are, and whether they may be called ----

_OPERATORS = "torch._C._dispatch_get_all_op_names"
_HAS_KERNEL = "torch._C._dispatch_has_kernel_for_dispatch_key"
_TOPMOST = "torch._C._functorch.peek_interpreter_stack"
_FORWARD_LEVEL = "torch.autograd.forward_ad._current_level"

_operators, _has_kernel = _found(_OPERATORS), _found(_HAS_KERNEL)


def kernels_of(library: str, key: str) -> frozenset[str]:
    """The operators of a library that have a kernel for a dispatch key; without torch's lists none."""
    if _operators is None or _has_kernel is None:
        return frozenset()
    ours = [name for name in _operators() if name.startswith(f"{library}::")]
    return frozenset(name.removeprefix(f"{library}::") for name in ours if _has_kernel(name, key))


peek_interpreter_stack: Callable[[], Any] = _found(_TOPMOST) or (lambda: None)
"""The topmost level of torch.func; None where none of its transformations is at work.

Without it nobody knows whether a call is transformed, which no kernel sees: see `why_no_kernels`.
"""

if _found(_FORWARD_LEVEL) is None:

    def in_forward_mode() -> bool:
        """Whether forward-mode derivatives may be asked for: nobody knows, see `why_no_kernels`."""
        return True

else:

    def in_forward_mode() -> bool:
        """Whether forward-mode derivatives may be asked for.

        The level is a number that a compiler reads itself, and so it compiles anew for another one.
        """
        return forward_ad._current_level >= 0


def why_no_kernels() -> str:
    """Why the native kernels are left alone under this torch, in words; empty where they are not.

    Then all operators are their twins, several times slower, as in an installation without native libraries.
    """
    return _lacking(_OPERATORS, _HAS_KERNEL, _TOPMOST, _FORWARD_LEVEL)


below_autograd: Callable[[], AbstractContextManager[Any]] = _found("torch._C._AutoDispatchBelowAutograd") or nullcontext
"""Inside, operators are called without autograd's layer; used where no gradient is asked for.

Without it they go through that layer, which finds nothing to do and takes some microseconds a call.
"""


def constant_to_compilers(function: Any) -> Any:
    """A function that a compiler calls when it comes to the call, and whose result is a constant to it.

    torch.compiler.assume_constant_result does the same and imports the whole compiler, which takes seconds. Under a
    torch that does not know the mark, a compiler goes through the function, or breaks its graph there, which is slower.
    """
    function._dynamo_marked_constant = True
    return function


# ---- torch.func's levels, which are taken off one by one ----

_before = len(NAMES)


def _of_levels(name: str) -> Any:
    return _found(f"torch._C._functorch.{name}")


# what the levels are, tensors without one of them and with it, calls below it, and nodes of its graph alone
get_interpreter_stack, TransformType = _of_levels("get_interpreter_stack"), _of_levels("TransformType")
CGradInterpreterPtr, CVmapInterpreterPtr = _of_levels("CGradInterpreterPtr"), _of_levels("CVmapInterpreterPtr")
add_batch_dim, unwrap_batched = _of_levels("_add_batch_dim"), _of_levels("_unwrap_batched")
wrap_for_grad, unwrap_for_grad = _of_levels("_wrap_for_grad"), _of_levels("_unwrap_for_grad")
is_wrapped, unwrapped = _of_levels("is_functorch_wrapped_tensor"), _of_levels("get_unwrapped")
below_topmost = _found("torch._functorch.pyfunctorch.temporarily_pop_interpreter_stack")
single_level_functions = _found("torch._functorch.utils.enable_single_level_autograd_function")

unwrapped_if_dead: Callable[[Tensor], Tensor] = _of_levels("unwrap_if_dead") or (lambda tensor: tensor)
"""A tensor without the topmost level where that has ended. Without this function as it is: the twins take it too."""

SingleLevelFunction: Any = _found("torch.autograd.function._SingleLevelFunction") or torch.autograd.Function
"""The base of the nodes of one level's graph. Without it a base of classes that are made and never used."""

PEELABLE = not _lacking(_TOPMOST, *NAMES[_before:])
"""Whether torch.func's levels can be taken off, so that a kernel runs below them.

Where one of this part's names is lacking, the twins serve under torch.func, several times slower; all else is as fast.
"""

topmost_level: Callable[[], Any] = peek_interpreter_stack if PEELABLE else (lambda: None)
"""The topmost level of those that can be taken off. What torch makes of it is valid as long as this object lives."""


def _has_no_memory(tensor: Tensor) -> bool:
    try:
        tensor.data_ptr()
    except RuntimeError:
        return True
    return False


is_legacy_batchedtensor: Callable[[Tensor], bool] = _of_levels("is_legacy_batchedtensor") or _has_no_memory
"""Whether a tensor is one of torch's older map, by which is_grads_batched=True works.

Without it: one that has no memory of its own; to ask for that takes as long.
"""

# ---- what the caller has told torch ----

function_modes: Callable[[], int] = _found("torch._C._len_torch_function_stack") or (lambda: 1)
"""How many modes have a say in every call of a torch function; a default device is one.

Without it as if there were one, so that torch is asked for the default device each time: about a microsecond.
"""

_dispatch_modes = _found("torch._C._len_torch_dispatch_stack")

if _dispatch_modes is None or _TOPMOST in LACKING:

    def is_visible(value: Tensor) -> bool:
        """Whether the values of a plain tensor are its own, found by a look at one: some microseconds."""
        try:
            bool(value.detach().reshape(-1)[:1].isnan().any())
        except RuntimeError:
            return False
        return True

else:

    def is_visible(value: Tensor) -> bool:
        """Whether the values of a plain tensor are its own: calls are neither written down nor transformed."""
        return not _dispatch_modes() and peek_interpreter_stack() is None


# ---- recorded steps ----

_before = len(NAMES)
_make_fx = _found("torch.fx.experimental.proxy_tensor.make_fx")
_has_any_global_hook = _found("torch.nn.modules.module._has_any_global_hook")
_TENSOR_HOOKS = "torch.Tensor._backward_hooks"
for _name in (_TENSOR_HOOKS, "torch.Tensor._post_accumulate_grad_hooks"):
    _found(_name)
_MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
for _name in _MODULE_HOOKS:
    _found(f"torch.nn.Module.{_name}", instance=nn.Module())

TorchDispatchMode: Any = _found("torch.utils._python_dispatch.TorchDispatchMode") or object
"""The base of what sees every operator that is called. Without it a base of a class that is never used."""

_WHY_NOT_RECORDED = _lacking(*NAMES[_before:])


def why_not_recorded() -> str:
    """Why steps of a training cannot be recorded, in words; empty where they can.

    Where one of this part's names is lacking, each step is done as it is, which takes up to twice as long for a small
    network.
    """
    return _WHY_NOT_RECORDED


# a look at a number is no error then, but seen by the one who records
_LOOKS = "_error_on_data_dependent_ops"
_words: dict[str, Any] = {_LOOKS: False} if _make_fx and _LOOKS in inspect.signature(_make_fx).parameters else {}


def graph_of(work: Callable[[], object]) -> Any:
    """The operators that some work calls, as a module of torch.fx; the work is done meanwhile.

    A torch that does not know the word for looks at numbers has an error for each, and what looks is not recorded.
    """
    return _make_fx(work, **_words)()


def has_hooks(model: nn.Module) -> bool:
    """Whether somebody is to be called within a step, whatever for. Where nothing can be recorded nobody is seen."""
    if _WHY_NOT_RECORDED:
        return False
    if _has_any_global_hook():
        return True
    if any(parameter._backward_hooks or parameter._post_accumulate_grad_hooks for parameter in model.parameters()):
        return True
    return any(getattr(layer, name, None) for layer in model.modules() for name in _MODULE_HOOKS)


hooks_of: Callable[[Tensor], Any] = (
    operator.attrgetter("_backward_hooks") if _TENSOR_HOOKS not in LACKING else (lambda tensor: None)
)
"""Who is to be called with a tensor's gradient. Without it nobody is seen, and nothing is recorded."""

version_of: Callable[[Tensor], int] = (
    operator.attrgetter("_version") if _found("torch.Tensor._version") is not None else (lambda tensor: 0)
)
"""How many operators have written a tensor.

Without it all that changes in a small tensor counts as written behind torch's back: such steps are not replayed.
"""

# ---- the parts of a training ----

_foreach_add, _fused_adamw = _found("torch._foreach_add_"), _found("torch._fused_adamw_")


def _adamw(parameters: list[Tensor], states: list[dict[str, Tensor]], **options: Any) -> None:
    steps = [state["step"] for state in states]
    _foreach_add(steps, 1)
    gradients = [parameter.grad for parameter in parameters]
    averages = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq")]
    _fused_adamw(parameters, gradients, *averages, [], steps, amsgrad=False, maximize=False, **options)


adamw: Callable[..., None] | None = _adamw if _foreach_add and _fused_adamw else None
"""A step of AdamW by its one kernel: parameters, their states, and what the kernel is told.

Without it None: torch's optimiser makes the same step, and sorts the parameters anew each time.
"""

BATCH_NORMS: Any = _found("torch.nn.modules.batchnorm._BatchNorm") or (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
)
"""The classes of batch normalisation. Without their base all of torch's; one that is written anew is not known."""

_has_avx512_bf16 = _found("torch.cpu._is_avx512_bf16_supported") or (lambda: False)
_has_amx = _found("torch.cpu._is_amx_tile_supported") or (lambda: False)


def multiplies_bfloat16() -> bool:
    """Whether the processor has AVX512_BF16 or AMX; elsewhere bfloat16 is emulated, slower than float32.

    Without torch's answers no, and precision "auto" is float32.
    """
    return bool(_has_avx512_bf16() or _has_amx())
