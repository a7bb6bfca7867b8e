"""The CUDA kernels on the CPU: the library that `make test` builds out of csrc/cuda for the host's processor."""

import contextlib
import ctypes
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from latentcore import _native  # whose operators come first

LIBRARY = Path(os.environ.get("LATENTCORE_CUDA_HOST", "build/cuda-host/liblatentcore_cuda_host.so")).absolute()
# "off" where the tests run on a card, or of a wheel, for which the library was not built
ENABLED = LIBRARY.name != "off"


def load() -> ctypes.CDLL:
    if not LIBRARY.exists():
        raise RuntimeError(f"{LIBRARY}: not built; `make cuda-host` builds it")
    torch.ops.load_library(LIBRARY)
    return ctypes.CDLL(str(LIBRARY))


def seed(number: int) -> None:
    """Set where the order of threads and blocks starts from."""
    load().latentcore_cuda_host_seed(ctypes.c_uint64(number))


def launches() -> int:
    """How many kernels have been launched so far."""
    count = load().latentcore_cuda_host_launches
    count.restype = ctypes.c_uint64
    return int(count())


def operators() -> list[str]:
    """The operators that have a CUDA kernel."""
    load()
    prefix = "latentcore_cuda_host::"
    names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith(prefix)]
    return sorted(n.removeprefix(prefix) for n in names if torch._C._dispatch_has_kernel_for_dispatch_key(n, "CPU"))


@contextlib.contextmanager
def kernels(seed: int = 0) -> Iterator[None]:
    """Within it latentcore's operators on CPU tensors run the CUDA kernels, those that exist."""
    load().latentcore_cuda_host_seed(ctypes.c_uint64(seed))
    library = torch.library.Library("latentcore", "IMPL")
    before = _native._KERNELS["cpu"]
    _native._KERNELS["cpu"] = before | set(operators())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Warning only once for all operators", category=UserWarning)
        for name in operators():
            library.impl(name, getattr(torch.ops.latentcore_cuda_host, name).default, "CPU", allow_override=True)
    try:
        yield
    finally:
        _native._KERNELS["cpu"] = before
        library._destroy()
