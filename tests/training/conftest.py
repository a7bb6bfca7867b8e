import pytest
import torch
from rotations import runs_that_learned_little


@pytest.fixture
def one_thread():
    """What trains on as many threads as the copies of a process that `endings` makes, and so to the same bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def rotation_runs(tmp_path_factory):
    """Runs of the system rotation."""
    return runs_that_learned_little(tmp_path_factory.mktemp("rotations"))
