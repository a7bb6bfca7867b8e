"""Where figures and pictures of a run go: into its folder, or into one of their own."""

import tempfile
from pathlib import Path

from latentcore._files import inside, printable, read_json, write_json

_DIGITS = 8  # of a hash in a folder's name
_DATA = "data.json"  # in a folder of its own: of which data the figures and pictures in it are


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
        raise ValueError(f"--out: expected a folder without a run in it, got {out}")
    place = out or inside(run, run if own else run / "evaluations" / f"{printable(name) or 'data'}-{word[:_DIGITS]}")
    inside(place, place / "pictures")
    if out is not None and (place / _DATA).exists() and read_json(inside(place, place / _DATA)) != {"sha256": word}:
        raise ValueError(f"--out: expected a folder without an evaluation on other data, got {out}")
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        if out is not None:
            write_json(place / _DATA, {"sha256": word})
    except OSError as error:
        remedy = "" if out is not None else "; name another folder with --out"
        raise OSError(f"{place}: cannot be written to: {error.strerror}{remedy}") from None
    return place
