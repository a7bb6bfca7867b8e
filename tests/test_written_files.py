"""Files: written whole, by one of many, named where the disk is full, and opened with care."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from latentcore._files import creating, inside, read_bounded, remove_leftovers, replacing


def parts(folder):
    return [path.name for path in folder.rglob("*") if ".part" in path.name]


def write_half(path, failure):
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise failure


def test_what_stands_under_a_name_is_whole(tmp_path):
    path = tmp_path / f"{'ö' * 120}.json"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
        with replacing(path) as other:  # at the same time in the same process
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one"
    with pytest.raises(KeyError):
        write_half(path, KeyError())
    assert path.read_text() == "one"
    assert not parts(tmp_path)


FAILURES = (
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError("encoder error -2 when writing image file"),  # Pillow's of a full disk
)


@pytest.mark.parametrize("failure", FAILURES, ids=["system", "Pillow"])
def test_a_full_disk_names_the_file(tmp_path, failure):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(OSError, match=r"figures\.json") as found:
        write_half(path, failure)
    assert found.value.filename == str(path)
    assert ".part" not in str(found.value)
    assert path.read_text() == "old"
    assert not parts(tmp_path)


def test_an_error_of_another_file_is_its_own(tmp_path):
    with pytest.raises(FileNotFoundError) as found, replacing(tmp_path / "a.json"):
        (tmp_path / "b.json").read_text()
    assert found.value.filename == str(tmp_path / "b.json")


def test_a_name_that_cannot_be_taken_is_named(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match=r"a\.json'$") as found, replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("{}")
    assert ".part" not in str(found.value)


@pytest.mark.parametrize("links", [True, False])
def test_nothing_is_created_twice(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "new.json"
    with creating(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(FileExistsError, match=r"new\.json"), creating(path) as temporary:
        temporary.write_text("second")
    assert path.read_text() == "first"
    assert not parts(tmp_path)


def no_links(source, target):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)


def test_left_over_files_of_processes_that_are_gone_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f".last.{gone.pid}-3.part.pth", f".a.b.{os.getpid()}-99999.part.json", f".config.{gone.pid}-0.part"):
        (tmp_path / name).touch()
    kept = [f".last.{os.getppid()}-0.part.pth", "last.pth", f"last.{gone.pid}-0.part.pth", ".last.999999999-0.png"]
    for name in kept:
        (tmp_path / name).touch()
    (tmp_path / f".folder.{gone.pid}-0.part").mkdir()
    with replacing(tmp_path / "own.json") as temporary:
        temporary.write_text("{}")
        remove_leftovers(tmp_path)
        assert temporary.exists()
    remove_leftovers(tmp_path / "missing")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted([*kept, "own.json"])
    assert (tmp_path / f".folder.{gone.pid}-0.part").exists()


def test_a_file_outside_is_not_in_the_folder(tmp_path):
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "latest").symlink_to(folder)
    (tmp_path / "private").touch()
    (folder / "within").symlink_to("deep")
    (folder / "beyond").symlink_to("..")
    (folder / "name").symlink_to(tmp_path / "private")
    for path in ("deep/a", "within/a", "missing/a"):
        assert inside(folder, folder / path) == folder / path
        assert inside(tmp_path / "latest", tmp_path / "latest" / path)
    for path in ("beyond/private", "name", "../private", "beyond/run2"):
        with pytest.raises(ValueError, match="got a link that leads out of it"):
            inside(folder, folder / path)


def test_no_more_is_read_than_there_may_be(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(ValueError, match="at most 4 bytes, got one of 5"):
        read_bounded(path, 4)
    os.truncate(path, 10**11)
    with pytest.raises(ValueError, match="100,000,000,000"):
        read_bounded(path)
    with pytest.raises(ValueError, match="expected a regular file, got a folder"):
        read_bounded(Path(tmp_path))
