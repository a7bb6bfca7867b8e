import pytest
from small_events import write_events


@pytest.fixture
def events(tmp_path, monkeypatch):
    """A file of 600 events; blocks are single chunks."""
    monkeypatch.setattr("latentcore.data.egamma.blocks._BLOCK", 1)
    return write_events(tmp_path / "events.h5")
