"""Evaluating a run: on which data, and where its figures and pictures go, into its folder or into one of their own."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from latentcore._files import inside, printable, read_json, write_json
from latentcore.data.examples import Examples
from latentcore.training.processes import is_first
from latentcore.training.provenance import note_command
from latentcore.training.system import System

_DIGITS = 8  # of a hash in a folder's name
_OUT = "out (--out DIR)"  # from Python, and on the command line
_DATA = "data.json"  # in a folder of its own: of which data the figures and pictures in it are


class Judgement(NamedTuple):
    """What an evaluation has found.

    Attributes:
        place: The folder that it was written to.
        figures: All of that folder, those of the run's training among them where it is the run's.
        pictures: The names of those that were drawn.
    """

    place: Path
    figures: dict[str, Any]
    pictures: list[str]


def evaluate(system: System[Any], run: Any, examples: Examples, options: Any, out: Path | None = None) -> Judgement:
    """Evaluate a run on some data, after a look whether that will work; `out` as `place_of` has it.

    Of several processes the first one draws and writes; the others have neither figures nor pictures.
    """
    if system.checked is not None:
        system.part("checked")(run.config, examples, options)
    place = place_of(run.folder, out, examples.own, examples.name, examples.word)
    if not is_first():
        return Judgement(place, {}, [])
    before = _pictures(place)
    found: Mapping[str, Any] = system.part("evaluate")(run, examples, options, place)
    figures = {**run.metrics, **found} if place == run.folder else dict(found)
    write_json(place / "metrics.json", figures)
    note_command(place)
    drawn = sorted(name for name, written in _pictures(place).items() if before.get(name) != written)
    return Judgement(place, figures, drawn)


def place_of(run: Path, out: Path | None, own: bool, name: str, word: str) -> Path:
    """The folder of an evaluation, which is made and can be written to.

    Args:
        run: The run's folder.
        out: What the options name.
        own: Whether the run is judged by what it has held out itself: only such figures are the run's.
        name: Of the data.
        word: A hash of them: other data of the same name have another folder.

    Raises:
        ValueError: `out` is the folder of a run, whose own figures would be lost, or has figures and pictures of other
            data; a link leads out of the run.
        OSError: The folder cannot be written to; nothing is evaluated then.
    """
    if out is not None and (out / "config.json").exists() and not (own and out.samefile(run)):
        raise ValueError(f"{_OUT}: expected a folder without a run in it, got {out}")
    place = out or inside(run, run if own else run / "evaluations" / f"{printable(name) or 'data'}-{word[:_DIGITS]}")
    inside(place, place / "pictures")
    if out is not None and (place / _DATA).exists() and read_json(inside(place, place / _DATA)) != {"sha256": word}:
        raise ValueError(f"{_OUT}: expected a folder without an evaluation on other data, got {out}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        if out is not None:
            write_json(place / _DATA, {"sha256": word})
    except OSError as error:
        remedy = "" if out is not None else f"; name another folder as {_OUT}"
        raise OSError(f"{place}: cannot be written to: {error.strerror}{remedy}") from None
    return place


def _pictures(place: Path) -> dict[str, int]:
    """Names of the pictures in a folder, and when each was written, in nanoseconds."""
    return {path.name: path.stat().st_mtime_ns for path in (place / "pictures").glob("*") if path.is_file()}
