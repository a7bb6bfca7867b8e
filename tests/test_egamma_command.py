"""Files of electrons and photons from the command line."""

import h5py
import pytest

from latentcore.cli import main


def call(*arguments):
    return main([str(argument) for argument in arguments])


def test_simulated_events_are_inspected(tmp_path, capsys):
    file = tmp_path / "events.h5"
    assert call("data", "simulate", "--events", 600, "--seed", 3, "--out", file) == 0
    assert "600 events" in capsys.readouterr().out
    with h5py.File(file) as content:
        assert content["X"].shape == (600, 32, 32, 2)
    assert call("data", "inspect", file) == 0
    printed = capsys.readouterr().out
    for word in ("300 photons + 300 electrons", "(600, 32, 32, 2) float32", "lzf", "energy", "time", "zeros"):
        assert word in printed
    assert (tmp_path / "events.png").stat().st_size > 10_000


def test_the_same_seed_gives_the_same_file(tmp_path):
    files = [tmp_path / name for name in ("a.h5", "b.h5", "c.h5")]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        assert call("data", "simulate", "--events", 50, "--seed", seed, "--out", file) == 0
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


@pytest.mark.parametrize("content", [b"", b"no HDF5"])
def test_what_is_no_such_file_is_one_line(tmp_path, capsys, content):
    (tmp_path / "events.h5").write_bytes(content)
    assert call("data", "inspect", tmp_path / "events.h5") == 1
    error = capsys.readouterr().err
    assert "events.h5" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "events.png").exists()
    assert call("data", "simulate", "--events", 10, "--fluctuation", -1, "--out", tmp_path / "x.h5") == 1
    assert "fluctuation" in capsys.readouterr().err
    assert not (tmp_path / "x.h5").exists()
