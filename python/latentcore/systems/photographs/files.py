"""Photographs to learn from and to judge by: parted once, when a run begins, and found again by their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentcore import _errors
from latentcore._files import inside, printable, read_bounded
from latentcore._tensors import load_tensors
from latentcore.data._depth import WHITE
from latentcore.data.folders import Found, find_images
from latentcore.data.hashes import file_hash, joint_hash
from latentcore.data.held_out import read_record, record_path
from latentcore.training.checkpoint import last_path

_ELSE = "name others with --test"


@dataclass(frozen=True)
class Files:
    """Photographs in their roles.

    Attributes:
        learned: To learn from.
        held_out: To judge by.
        own: Whether a run has held back just these.
        name: Of where those to judge by lie.
        word: A hash of those to judge by.
        white: What a run has taken for white in 16-bit files; None: it had none, or has not begun.
    """

    learned: Found
    held_out: Found
    own: bool = True
    name: str = ""
    word: str = ""
    white: int | None = None


def divided(folders: Sequence[Path], test: Sequence[Path]) -> Files:
    """Photographs for a run that begins: every tenth is to judge by, where there are no others for that."""
    # listed once, so that no file that comes meanwhile moves another one to the other side
    found = find_images(folders)
    if not test:
        learned, held_out = divide_files(found.files)
        return Files(Found(learned, found.left_out), Found(held_out, []))
    others = find_images(test)
    judged = {path.absolute() for path in others.files}
    files = [path for path in found.files if path.absolute() not in judged]
    if not files:
        raise ValueError("--test: expected other photographs than those to learn from, got all of them")
    return Files(Found(files, found.left_out), others)


def divide_files(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training and test files: every tenth is for test, so that each folder of a sorted list gives its share.

    Raises:
        ValueError: There are fewer than 20.
    """
    if len(files) < 20:
        where = str(files[0].parent) if files else "files"
        _errors.fail_value(where, "at least 20 photographs, of which a tenth is kept back", len(files))
    return [path for i, path in enumerate(files) if i % 10 != 5], list(files[5::10])


def record_of(
    folders: Sequence[Path],
    test: Sequence[Path],
    learned: Sequence[Path],
    held_out: Sequence[Path],
    white: int | None,
) -> dict[str, Any]:
    """What a run writes down of the photographs that it uses: names below the folders, and hashes of those held out."""
    return {
        "kind": "photographs",
        "folders": [str(path.resolve()) for path in folders],
        "test": [str(path.resolve()) for path in test] if test else None,
        "learned": [_named(path, folders) for path in learned],
        "held_out": [[*_named(path, test or folders), file_hash(path)] for path in held_out],
        "white": white,
    }


def resumed(run: Path, folders: Sequence[Path], test: Sequence[Path]) -> Files | None:
    """The photographs of a run that goes on, where they were or where the options say; None of a run without a record.

    Raises:
        OSError: A file cannot be read.
        ValueError: One is missing, or one to judge by is another now.
    """
    record = _record(run)
    if record is None:
        return None
    if test and not record["test"]:
        raise ValueError(f"--test: expected none beside --resume: {run} has held out photographs of its own folders")
    learned = _located(run, record["learned"], _tops(record["folders"], folders, "DATA"), "learned")
    if missing := [path for path in learned if not path.is_file()]:
        _fail(run, "learned", learned, missing, "missing", "")
    return Files(Found(learned, []), Found(_held_out(run, record, folders, test), []), white=record.get("white"))


def judged_by(run: Path, folders: Sequence[Path], test: Sequence[Path]) -> Files | None:
    """The photographs to judge a run by: `test`, or those that it has held out; None of a run without a record.

    Errors as `resumed`.
    """
    record = _record(run)
    if record is None:
        return None
    if not test:
        return Files(Found([], []), Found(_held_out(run, record, folders, []), []), white=record.get("white"))
    found = find_images(test)
    hashes = [file_hash(path) for path in found.files]
    own = hashes == [entry[2] for entry in record["held_out"]]
    return Files(Found([], []), found, own, test[0].stem, joint_hash(hashes), record.get("white"))


def judged_by_before(run: Path, folders: Sequence[Path], test: Sequence[Path], known: bool) -> Files:
    """As `judged_by`, of a run that did not write down what it held out: it must have as many photographs as then.

    Args:
        run: Its folder.
        folders: Where those lie that it has learned from.
        test: Others to judge by.
        known: Whether `test` is where the run remembers them to be.
    """
    if test:
        found = find_images(test)
        return Files(Found([], []), found, known, test[0].stem, joint_hash(map(file_hash, found.files)))
    files = divided(folders, [])
    count = load_tensors(inside(run, last_path(run))).get("count") if last_path(run).exists() else None
    listed = run / "left_out.txt"
    left_out = len(read_bounded(inside(run, listed)).decode().splitlines()) if listed.exists() else 0
    if isinstance(count, int) and not count <= len(files.learned.files) <= count + left_out:
        where, got = ", ".join(map(str, folders)), len(files.learned.files)
        _errors.fail_value(where, f"the {count} photographs that {run} has learned from", f"{got}; {_ELSE}")
    return files


def _held_out(run: Path, record: dict[str, Any], folders: Sequence[Path], test: Sequence[Path]) -> list[Path]:
    """The photographs that a run has held out, none of which has changed."""
    option, given = ("--test", test) if record["test"] else ("DATA", folders)
    tops = _tops(record["test"] or record["folders"], given, option)
    paths = _located(run, record["held_out"], tops, "held_out")
    if missing := [path for path in paths if not path.is_file()]:
        _fail(run, "held out", paths, missing, "missing", f"; {_ELSE}")
    hashes = (entry[2] for entry in record["held_out"])
    if changed := [path for path, word in zip(paths, hashes, strict=True) if file_hash(path) != word]:
        _fail(run, "held out", paths, changed, "with other contents", f"; {_ELSE}")
    return paths


def _fail(run: Path, role: str, paths: Sequence[Path], wrong: Sequence[Path], how: str, remedy: str) -> None:
    expected = f"one of the {len(paths):,} photographs that {run} has {role}"
    _errors.fail_value(printable(str(wrong[0])), expected, f"{len(wrong):,} of them {how}{remedy}")


def _named(path: Path, tops: Iterable[Path]) -> list[Any]:
    """The number of the folder, and the name below it; no name for a file that stands for a folder."""
    number, top = next((number, top) for number, top in enumerate(tops) if path.is_relative_to(top))
    return [number, "" if path == top else str(path.relative_to(top))]


def _tops(known: Sequence[str], given: Sequence[Path], option: str) -> list[Path]:
    if given and len(given) != len(known):
        raise ValueError(f"{option}: expected {len(known)}, where the run's {', '.join(known)} lie, got {len(given)}")
    return list(given) or [Path(name) for name in known]


def _located(run: Path, entries: Sequence[Any], tops: Sequence[Path], role: str) -> list[Path]:
    found = []
    for number, name, *_ in entries:
        if not 0 <= number < len(tops) or Path(name).is_absolute() or ".." in Path(name).parts:
            _errors.fail_value(f"{record_path(run)}: {role}", f"names below {len(tops)} folders", [number, name])
        found.append(tops[number] / name if name else tops[number])
    return found


def _record(run: Path) -> dict[str, Any] | None:
    record = read_record(run)
    if record is None or record.get("kind") != "photographs":
        return None
    tops = _all_of(record.get("folders"), str) and (record.get("test") is None or _all_of(record["test"], str))
    named = all(_entries(record.get(role), kinds) for role, kinds in _KINDS.items())
    if not (tops and named):
        _errors.fail_value(str(record_path(run)), "what a run has held out", f"the fields {list(record)}")
    if record.get("white") is not None:
        _errors.integer(f"{record_path(run)}: white", record["white"], 255, WHITE)
    return record


_KINDS = {"learned": (int, str), "held_out": (int, str, str)}


def _all_of(found: Any, kind: type) -> bool:
    return isinstance(found, list) and all(isinstance(value, kind) for value in found) and bool(found)


def _entries(found: Any, kinds: tuple[type, ...]) -> bool:
    return _all_of(found, list) and all(
        len(entry) == len(kinds) and all(map(isinstance, entry, kinds)) for entry in found
    )
