import pytest
from rotations import runs_that_learned_little


@pytest.fixture(scope="session")
def rotation_runs(tmp_path_factory):
    """Runs of the system rotation."""
    return runs_that_learned_little(tmp_path_factory.mktemp("rotations"))
