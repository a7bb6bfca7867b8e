import os
import signal

# before scipy is imported: without it scikit-learn skips one of its checks of estimators
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import hypothesis
import numpy as np
import pytest
import torch

from latentcore.data import mnist

hypothesis.settings.register_profile(
    "latentcore", max_examples=int(os.environ.get("LATENTCORE_EXAMPLES", "40")), deadline=None
)
hypothesis.settings.load_profile("latentcore")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Processes that the tests start know Ctrl-C, even where a shell runs pytest in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=[1, 2])
def threads(request):
    """Run the test with one and with two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory):
    """A folder of IDX files with the digits that come with the package."""
    folder = tmp_path_factory.mktemp("mnist")
    for split, prefix in (("train", "train"), ("test", "t10k")):
        digits = mnist.embedded(split)
        arrays = {"images-idx3": digits.images[:, 0].numpy(), "labels-idx1": digits.labels.numpy().astype(np.uint8)}
        for name, array in arrays.items():
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.tobytes())
    return folder
