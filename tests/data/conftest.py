import numpy as np
import pytest
import torch
from tests.data.egamma_events import LAYOUTS, OF_EVENT, events, write

from latentcore.data.egamma import EgammaFiles, blocks


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 20 events or of a chunk, so that a small file has many of them."""
    monkeypatch.setattr(blocks, "_BLOCK", 20 * OF_EVENT)


@pytest.fixture
def three(tmp_path, small_blocks):
    """Files of different dtypes and layouts, and all they hold."""
    layouts = (LAYOUTS["lzf"], LAYOUTS["float64 lzf"], LAYOUTS["contiguous"])
    found = [events(count, seed) for seed, count in enumerate((530, 221, 310))]
    paths = [
        write(tmp_path / f"{i}.h5", *both, label_dtype=label_dtype, **layout)
        for i, (both, layout, label_dtype) in enumerate(zip(found, layouts, ("u1", "i8", "f4"), strict=True))
    ]
    images = np.concatenate([images for images, _ in found]).astype(np.float32)
    return EgammaFiles(paths), torch.from_numpy(images).permute(0, 3, 1, 2), np.concatenate([y for _, y in found])
