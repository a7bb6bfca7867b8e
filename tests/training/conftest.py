from contextlib import contextmanager

import pytest
import torch
from rotations import runs_that_learned_little

from latentcore.training.sources import Images

SIDE = 12


@pytest.fixture
def one_thread():
    """What trains on as many threads as the copies of a process that `endings` makes, and so to the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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

    @contextmanager
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


@pytest.fixture(scope="session")
def rotation_runs(tmp_path_factory):
    """Runs of the system rotation."""
    return runs_that_learned_little(tmp_path_factory.mktemp("rotations"))
