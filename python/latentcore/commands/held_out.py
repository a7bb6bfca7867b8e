"""Images to learn from and to judge by: parted once, when a run begins, and found again as they were."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._files import read_config
from latentcore.commands.inputs import data_folder
from latentcore.data import ImageSet, load_images
from latentcore.data.drawn import parted, rows_kept_back
from latentcore.data.hashes import fingerprint
from latentcore.data.held_out import check_unchanged, describe, read_record, record_path
from latentcore.data.sets import load_split

_ELSE = "name other images with --test"


class Where(NamedTuple):
    """What the options say of where images lie.

    Attributes:
        data: A folder of MNIST or CIFAR-10, or a file of images; None: where the run says, or the environment.
        test: A file of test images.
        channels_last: How files are read (`latentcore.data.load_images`); None: as the run read them.
    """

    data: Path | None
    test: Path | None
    channels_last: bool | None = None

    def read(self, path: Path) -> ImageSet:
        """The images of a file."""
        return load_images(path, channels_last=self.channels_last)

    def filled(self, record: Mapping[str, Any]) -> "Where":
        """The same with what a run's record knows and the options do not say."""
        known = Path(record["data"])
        data = known if self.data is None and known.exists() else self.data
        layout = record.get("channels_last") if self.channels_last is None else self.channels_last
        return Where(data, self.test, layout)


@dataclass(frozen=True)
class Images:
    """Images in their roles.

    Attributes:
        train: Those to learn from.
        test: Those to judge by.
        record: What a run writes down of them; None where it is a run's own that did not.
        own: Whether a run has held back just those of the test.
        name: Of where those of the test lie.
    """

    train: ImageSet
    test: ImageSet
    record: Mapping[str, Any] | None
    own: bool
    name: str


def divided(where: Where) -> Images:
    """Images for a run that begins: those of a file without a file of test images are parted by a draw."""
    data, test = data_folder(where.data), where.test
    rows, of = None, None
    if data.is_dir() or test is not None:
        learned, judged = load_split(data, test, channels_last=where.channels_last)
    else:
        images = where.read(data)
        kept = rows_kept_back(len(images), str(data))
        learned, judged = parted(images, kept)
        rows, of = kept.tolist(), describe(images)
    record = {
        **_record_fields(data, test, where.channels_last),
        "rows": rows,
        "of": of,
        "held_out": describe(judged),
    }
    return Images(learned, judged, record, True, (test or data).stem)


def found_again(run: Path, where: Where) -> Images:
    """The images of the run in a folder, where they were or where the options say; a test may be of others.

    Raises:
        OSError: A file cannot be read.
        ValueError: They are not those of the run, so that some to judge by may be some that it has learned.
    """
    record = _record(run)
    if record is None:
        return _of_before(run, where)
    where = where.filled(record)
    data, test = data_folder(where.data), where.test
    if record["rows"] is not None:
        learned, judged = _drawn(run, record, data, where)
    elif data.is_dir():
        learned, judged = load_split(data, channels_last=where.channels_last)
    else:
        learned = where.read(data)
        judged = learned if test is not None else _read_test(run, record, data, where)
    if test is not None:
        judged = where.read(test)
    return Images(learned, judged, record, describe(judged) == record["held_out"], (test or data).stem)


def held_out(run: Path, where: Where) -> Images:
    """As `found_again`, but a file of test images needs no others; `train` are the same then."""
    record, alone = _record(run), where.data is None
    where = where if record is None else where.filled(record)
    if record is not None and record["test"] is not None and alone and where.test is None:
        judged = _read_test(run, record, Path(record["data"]), where)
        return Images(judged, judged, record, True, Path(record["test"]).stem)
    if where.test is None or not alone:
        return found_again(run, where)
    judged = where.read(where.test)
    own = record is not None and describe(judged) == record["held_out"]
    return Images(judged, judged, record, own, where.test.stem)


def resumed(run: Path, where: Where) -> Images:
    """As `found_again`, for a training that goes on: it is judged as it would have been."""
    found = found_again(run, where)
    if found.record is not None and not found.own:
        check_unchanged(found.name, run, found.record["held_out"], describe(found.test))
    return found


def check_own(run: Path, record: Mapping[str, Any]) -> None:
    """The run in a folder has held out what this record says: it goes on and is judged as it would have been."""
    known = _record(run)
    if known is not None:
        check_unchanged(record["data"], run, known["held_out"], record["held_out"])


def is_own(run: Path, test: ImageSet) -> bool:
    """Whether these are the test images of the run in a folder; those of a run that did not write it down are."""
    record = _record(run)
    return record is None or describe(test) == record["held_out"]


def record_of_test(data: Path, test: ImageSet) -> dict[str, Any]:
    """What a run writes down of data that have test images of their own."""
    return {**_record_fields(data, None, None), "rows": None, "of": None, "held_out": describe(test)}


def _record_fields(data: Path, test: Path | None, channels_last: bool | None) -> dict[str, Any]:
    places = {"data": str(data.resolve()), "test": None if test is None else str(test.resolve())}
    return {"kind": "images", **places, "channels_last": channels_last}


def _drawn(run: Path, record: Mapping[str, Any], data: Path, where: Where) -> tuple[ImageSet, ImageSet]:
    """Images of a file by the rows that the run has drawn; what was added behind them is of no role."""
    if data.is_dir():
        _errors.fail_value(str(data), f"the file that {run} has divided, {record['data']}", f"a folder; {_ELSE}")
    count = record["of"]["images"]
    images = where.read(data)
    if len(images) > count:
        print(f"{data}: {len(images) - count:,} images behind the {count:,} of the run are left out")
        images = ImageSet(images.images[:count], None if images.labels is None else images.labels[:count])
    check_unchanged(str(data), run, record["of"], describe(images), _ELSE)
    return parted(images, _rows(run, record["rows"], count))


def _read_test(run: Path, record: Mapping[str, Any], data: Path, where: Where) -> ImageSet:
    """The file of test images with which a run began."""
    if record["test"] is None:
        got = f"a file, which has no test images of its own; {_ELSE}"
        _errors.fail_value(str(data), f"the folder with which {run} began, {record['data']}", got)
    judged = where.read(Path(record["test"]))
    check_unchanged(record["test"], run, record["held_out"], describe(judged), _ELSE)
    return judged


def _of_before(run: Path, where: Where) -> Images:
    """Images of a run that did not write down what it held back: they must be those that it has learned."""
    images = divided(where)
    divides = where.test is None and not data_folder(where.data).is_dir()
    if divides and read_config(run).get("data") not in _words_of(images.train):
        got = f"others, or another number ({len(images.train) + len(images.test)}); {_ELSE}"
        _errors.fail_value(str(where.data), f"the images with which {run} began", got)
    return Images(images.train, images.test, None, where.test is None, images.name)


def _words_of(images: ImageSet) -> set[str]:
    """What a run may have called these images: with labels or without; floats as bytes too, which they were once."""
    pixels = [images.images]
    if pixels[0].is_floating_point():
        pixels.append((pixels[0] * 255).round().to(torch.uint8))
    labels = [] if images.labels is None else [(images.labels,)]
    return {fingerprint(kind, *more) for kind in pixels for more in ((), *labels)}


def _record(run: Path) -> dict[str, Any] | None:
    """A run's record of images; None of one that has none, or one of other data."""
    record = read_record(run)
    if record is None or record.get("kind") != "images":
        return None
    held, of, rows = record.get("held_out"), record.get("of"), record.get("rows")
    places = isinstance(record.get("data"), str) and isinstance(record.get("test"), str | None)
    drawn = (rows is None and of is None) or (isinstance(rows, list) and isinstance(of, dict))
    layout = isinstance(record.get("channels_last"), bool | None)
    if not (places and drawn and layout and isinstance(held, dict)):
        _errors.fail_value(str(record_path(run)), "what a run has held out", f"the fields {list(record)}")
    if of is not None:
        _errors.integer(f"{record_path(run)}: of.images", of.get("images"), 1, 2**62)
    return record


def _rows(run: Path, rows: list[Any], count: int) -> Tensor:
    name = f"{record_path(run)}: rows"
    for row in rows:
        _errors.integer(name, row, 0, count - 1)
    if not rows or len(set(rows)) != len(rows) or len(rows) == count:
        _errors.fail_value(name, f"some different ones of {count}", f"{len(rows)} of them")
    return torch.tensor(rows)
