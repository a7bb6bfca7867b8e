import pytest
from rotations import runs_that_learned_little
from small_events import write_events


@pytest.fixture
def events(tmp_path, monkeypatch):
    """A file of 600 events; blocks are single chunks."""
    monkeypatch.setattr("latentcore.data.egamma.blocks._BLOCK", 1)
    return write_events(tmp_path / "events.h5")


@pytest.fixture(scope="session")
def rotation_runs(tmp_path_factory):
    """Runs of the system rotation."""
    return runs_that_learned_little(tmp_path_factory.mktemp("rotations"))
