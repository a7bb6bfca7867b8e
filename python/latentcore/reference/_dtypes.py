"""Dtypes of results."""

import torch


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which sums over elements of `dtype` are computed and returned: at least float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
