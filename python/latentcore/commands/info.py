"""`latentcore info`."""

import platform

import torch

import latentcore
from latentcore import _native, _torch_private
from latentcore.terminal.parsing import Parser
from latentcore.terminal.tables import show


def info(words: list[str]) -> None:
    """Print versions, the native libraries or why they are not loaded, SIMD level, threads and devices."""
    Parser("info", "versions, native libraries, SIMD level, threads and devices").told(words)
    rows = {
        "latentcore": latentcore.__version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "CPU kernels": str(_native.cpu_library),
        "CUDA kernels": str(_native.cuda_library),
        "SIMD level": _simd(),
        "threads": str(torch.get_num_threads()),
        "devices": ", ".join(["cpu", *_cuda_devices()]),
    }
    if _torch_private.LACKING:
        rows["torch lacks"] = ", ".join(_torch_private.LACKING)
    if _native.cpu_library.loaded:
        from latentcore import _C

        rows["built with"] = ", ".join(f"{key} {value}" for key, value in _C.build_info().items() if value)
    show("latentcore", rows)


def kernels() -> str:
    """Which kernels run on this machine, in a word."""
    if _native.cuda_library.loaded and torch.cuda.is_available():
        return f"CUDA, {_simd()} on the CPU"
    return _simd()


def _simd() -> str:
    level = _native.simd_level()
    if level == "none":
        return "none: plain torch"
    from latentcore import _C

    return f"{level} (of {', '.join(_C.simd_levels())})"


def _cuda_devices() -> list[str]:
    return [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
