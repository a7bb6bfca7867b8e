"""What all tests share. They run in a process of one thread for each core (pytest-xdist); `-n 0`: in this one."""

import contextlib
import fcntl
import gc
import os
import shutil
import signal
import tempfile

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported, and for the processes that tests start
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# torch finds what it has compiled again whatever instruction set it was compiled for: wrong numbers, or a crash
os.environ.setdefault(
    "TORCHINDUCTOR_CACHE_DIR",
    f"{tempfile.gettempdir()}/torchinductor-{os.getuid()}-{os.environ.get('ATEN_CPU_CAPABILITY', 'native')}",
)
# before scipy is imported: without it scikit-learn skips one of its checks of estimators
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import hypothesis
import numpy as np
import pytest
import torch
from filelock import FileLock

from latentcore.data import mnist
from latentcore.training.sources import Images

SIDE = 12  # of `images`

hypothesis.settings.register_profile(
    "latentcore", max_examples=int(os.environ.get("LATENTCORE_EXAMPLES", "40")), deadline=None
)
hypothesis.settings.load_profile("latentcore")


def pytest_configure(config):
    for marker in (
        "alone: needs the processor for itself; the other workers wait",
        "fuzz: thousands of damaged files; `make fuzz` runs it",
        "long: takes long to show in depth what a shorter test shows; `make test-long` runs it",
    ):
        config.addinivalue_line("markers", marker)


def pytest_collection_modifyitems(items):
    """Tests that need the processor for themselves are the last ones of their process."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


def pytest_collection_finish():
    """Python need not look again and again whether modules and tests, which all stay, are garbage."""
    gc.freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)  # waiting is not part of a test's time
def pytest_runtest_protocol(item):
    with turn(item):
        return (yield)


@contextlib.contextmanager
def turn(item):
    """A test marked `alone` runs while the other workers wait; whoever waits for that lets nobody in before."""
    if not hasattr(item.config, "workerinput"):
        yield
        return
    alone = item.get_closest_marker("alone") is not None
    folder = item.config.rootpath / "build"
    folder.mkdir(exist_ok=True)
    with (folder / "tests.door").open("w") as door, (folder / "tests.room").open("w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == threads, "a test leaves another number of threads to those after it"


@pytest.fixture
def one_thread():
    """What trains on as many threads as the copies of a process that `endings` makes, and so to the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Processes that the tests start know Ctrl-C, even where a shell runs pytest in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """A function that gives the folder which `make` filled, once for all workers; nobody changes what is in it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name, make):
        path, unfinished = shared / name, shared / f"{name}.unfinished"
        with FileLock(shared / f"{name}.lock"):
            if not path.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(path)
        return path

    return folder


@pytest.fixture(scope="session")
def mnist_folder(once):
    """A folder of IDX files with the digits that come with the package."""
    return once("mnist", write_digits)


@pytest.fixture(scope="session")
def few_digits(once):
    """The same with 400 digits for training and 400 for the test."""
    return once("few-digits", lambda folder: write_digits(folder, 400))


def write_digits(folder, count=None):
    for split, prefix in (("train", "train"), ("test", "t10k")):
        digits = mnist.embedded(split)
        arrays = {
            "images-idx3": digits.images[:count, 0].numpy(),
            "labels-idx1": digits.labels[:count].numpy().astype(np.uint8),
        }
        for name, array in arrays.items():
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{prefix}-{name}-ubyte").write_bytes(header + array.tobytes())


@pytest.fixture
def images():
    """300 uint8 images (300, 12, 12) of three classes: a bright stripe, a bright column, a bright corner."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(40, (300, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    pictures[0::3, 4:7, :] += 200
    pictures[1::3, :, 4:7] += 200
    pictures[2::3, :6, :6] += 200
    return pictures


@pytest.fixture
def labels():
    """The classes of `images`."""
    return torch.tensor([1, 4, 8]).repeat(100)


@pytest.fixture
def interrupted_at(monkeypatch):
    """A context in which a training of images is interrupted when it asks for a batch of this number."""

    @contextlib.contextmanager
    def interrupted(number):
        calls, draw = 0, Images.batch

        def batch(self, rows, draws):
            nonlocal calls
            calls += 1
            if calls == number:
                raise KeyboardInterrupt
            return draw(self, rows, draws)

        with monkeypatch.context() as patch:
            patch.setattr(Images, "batch", batch)
            yield

    return interrupted
