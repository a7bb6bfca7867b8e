"""Loads the native libraries, or says exactly why not.

Importing never builds. Without the native libraries everything works through `latentcore.reference`, slower.
"""

import importlib.util
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from latentcore import _forks
from latentcore._torch_private import (
    PEELABLE,
    TransformType,
    constant_to_compilers,
    get_interpreter_stack,
    in_forward_mode,
    kernels_of,
    peek_interpreter_stack,
    why_no_kernels,
)

_SIMD_LEVELS = ("baseline", "avx2", "avx512")


@dataclass(frozen=True)
class Library:
    """A native library: where it was loaded from, or why it was not."""

    name: str
    path: Path | None
    reason: str = ""

    @property
    def loaded(self) -> bool:
        """Whether the library is in this process."""
        return not self.reason

    def __str__(self) -> str:
        return f"{self.path}" if self.loaded else f"not loaded: {self.reason}"


def _folder() -> Path | None:
    """Where the libraries lie: beside the extension module, which an editable install keeps apart from the sources."""
    spec = importlib.util.find_spec("latentcore._C")
    return Path(spec.origin).parent if spec and spec.origin else None


def _load(name: str, folder: Path | None) -> Library:
    if folder is None:
        return Library(name, None, "this installation has no native libraries; build them with `pip install .`")
    path = folder / f"lib{name}.so"
    if not path.exists():
        return Library(name, path, f"{path.name} was not built")
    try:
        torch.ops.load_library(path)
    except OSError as error:
        return Library(name, path, f"{path} with torch {torch.__version__}: {error}")
    return Library(name, path)


def _load_cpu(folder: Path | None) -> Library:
    if reason := why_no_kernels():
        return Library("latentcore_cpu", None, reason)
    return _load("latentcore_cpu", folder)


def _load_cuda(cpu: Library, folder: Path | None) -> Library:
    if not torch.version.cuda:
        return Library("latentcore_cuda", None, f"torch {torch.__version__} was built without CUDA")
    if not cpu.loaded:
        return Library("latentcore_cuda", None, "liblatentcore_cpu, which holds the schemas, is not loaded")
    return _load("latentcore_cuda", folder)


def _check_simd_variable() -> None:
    wanted = os.environ.get("LATENTCORE_SIMD") or _SIMD_LEVELS[0]
    if wanted not in _SIMD_LEVELS:
        raise ValueError(f"LATENTCORE_SIMD: expected one of {', '.join(_SIMD_LEVELS)}, got {wanted!r}")


_check_simd_variable()
cpu_library = _load_cpu(_folder())
cuda_library = _load_cuda(cpu_library, _folder())
_KERNELS = {"cpu": kernels_of("latentcore", "CPU"), "cuda": kernels_of("latentcore", "CUDA")}
# operators with a rule for torch.func's vmap, as their registration says
FOLDED: set[str] = set()

if not cpu_library.loaded:
    warnings.warn(f"latentcore runs on its slower torch reference: {cpu_library.reason}", RuntimeWarning, stacklevel=2)


@constant_to_compilers  # which compile anew where torch.func's stack is another one
def is_transformed() -> bool:
    """Whether one of torch.func's transformations (vmap, grad, ...) is at work."""
    return peek_interpreter_stack() is not None


def is_peelable() -> bool:
    """Whether what is called now, in eager mode, is under no transformations but torch.func's vmap, grad and vjp."""
    if not PEELABLE or torch.compiler.is_compiling() or in_forward_mode():
        return False
    return all(level.key() in (TransformType.Vmap, TransformType.Grad) for level in get_interpreter_stack() or ())


def has_kernel(operator: str, tensor: torch.Tensor) -> bool:
    """Whether `operator` has a native kernel for the device of `tensor`; its twin in `reference` serves otherwise.

    The twin serves in forward mode too, which sees through it, and so it does where a compiler writes down what
    torch.func transforms; in eager mode the kernel runs below torch.func's levels.
    """
    _forks.check_threads()
    if in_forward_mode():
        return False
    if is_transformed() and not (is_peelable() and operator in FOLDED):
        return False
    return operator in (_KERNELS["cpu"] if tensor.is_cpu else _KERNELS.get(tensor.device.type, ()))


def flush_denormals(on: bool) -> None:
    """Treat denormal numbers as zero, or not, in all of torch's threads; torch's own word rules the calling one."""
    _forks.check_threads()
    torch.set_flush_denormal(on)
    if cpu_library.loaded:
        torch.ops.latentcore.flush_denormals(torch.get_num_threads(), on)


def simd_level() -> str:
    """The SIMD level of the CPU kernels in use, or "none" where they are not loaded."""
    if not cpu_library.loaded:
        return "none"
    from latentcore import _C

    return _C.simd_level()
