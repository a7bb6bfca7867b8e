"""In what precision a configuration trains on this machine."""

from typing import Literal

import torch

from latentcore.train.config import TrainConfig


def precision_of(config: TrainConfig) -> Literal["32-true", "64-true", "bf16-mixed"]:
    """The configured precision; "auto" asks the device."""
    if config.precision != "auto":
        return config.precision
    on_cuda = torch.cuda.is_available() and config.device != "cpu"
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if on_cuda else _cpu_multiplies_bfloat16()
    return "bf16-mixed" if fast else "32-true"


def _cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has AVX512_BF16 or AMX; elsewhere bfloat16 is emulated, slower than float32."""
    try:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    except AttributeError:  # torch's own questions, which it may rename
        return False
