"""Images to learn from and to judge by: parted once, when a run begins, and found again as they were."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._files import read_config
from latentcore.data.arrays import ImageSet, load_images
from latentcore.data.convert import as_images, as_labels, shape_of
from latentcore.data.drawn import parted, rows_kept_back
from latentcore.data.examples import DataKind, Examples, Where, places_in
from latentcore.data.hashes import fingerprint, image_hash
from latentcore.data.held_out import check_unchanged, describe, read_record, record_path
from latentcore.data.registry import DEFAULT, Place, located, named

_ELSE = "name other images with --test"

Chosen = Callable[[ImageSet, Any], ImageSet]


class Images(DataKind):
    """Images, from arrays, files, or data sets that have a name.

    Args:
        chosen: Which of the images a configuration learns from, and is judged by; None: all.
        labelled: Whether a few images whose labels are known may be given beside those to learn from.

    Example:
        >>> import numpy as np
        >>> found = IMAGES.given(np.zeros((30, 8, 8), np.uint8), None, labels=np.arange(30))
        >>> found.train.images.shape, found.train.labels.dtype
        (torch.Size([30, 1, 8, 8]), torch.int64)
    """

    def __init__(self, chosen: Chosen | None = None, *, labelled: bool = False) -> None:
        self._chosen, self._labelled = chosen, labelled

    def given(self, data: Any, config: Any, *, labels: Any = None, **others: Any) -> Examples:
        """Images as an array, an `ImageSet`, a pair (images, labels) or a path; `Examples` as they are."""
        places = places_in(data)
        if labels is not None and (places or isinstance(data, Examples)):
            _errors.fail_value("labels", "none beside names, paths and examples, which have their own", "some")
        if isinstance(data, Examples):
            return self.with_roles(data, config, **others)
        if places:
            tests = places_in(others.get("test")) or ()
            found = self.opened(Where(places, tests), config)
            others = {name: value for name, value in others.items() if not (name == "test" and tests)}
        else:
            train = self._select(image_set("images", data, labels), config)
            found = Examples(train, source={"image_shape": list(train.images.shape[1:])})
        return self.with_roles(found, config, **others)

    def with_roles(self, examples: Examples, config: Any, **roles: Any) -> Examples:
        """With images for other roles, each as `given` takes them, with labels as the second of a pair."""
        if "labelled" in roles and not self._labelled:
            _errors.fail_value("labelled", "none: this system learns nothing from a few labels", "some")
        found: dict[str, Any] = {name: self._select(image_set(name, data), config) for name, data in roles.items()}
        if "test" in found:
            found |= {"name": "test", "word": image_hash(found["test"])}
        return replace(examples, **found) if found else examples

    def opened(self, where: Where, config: Any) -> Examples:
        """Images of a file without a file of test images are parted by a draw."""
        place, test = _place(where), _test(where)
        learned, judged = _read(place, where)
        rows, of = None, None
        if test is not None:
            if judged is not None:
                _errors.fail_value("test", f"none beside {place.word}, which has test images of its own", str(test))
            judged = _beside(test, learned, where)
        elif judged is None:
            kept, of = rows_kept_back(len(learned), place.word), describe(learned)
            learned, judged = parted(learned, kept)
            rows = kept.tolist()
        learned, judged = self._select(learned, config), self._select(judged, config)
        record = {
            "kind": "images",
            "data": place.word,
            "test": None if test is None else str(test.resolve()),
            "channels_last": where.channels_last,
            "rows": rows,
            "of": of,
            "held_out": describe(judged),
        }
        source = {
            "data": [place.word],
            "test": [] if test is None else [str(test.resolve())],
            "image_shape": list(learned.images.shape[1:]),
        }
        name = test.stem if test is not None else place.name
        return Examples(learned, judged, record=record, source=source, name=name, word=_hash(record["held_out"]))

    def reopened(self, run: Path, where: Where, config: Any, use: Literal["train", "test", "both"]) -> Examples:
        """As it was, or as `where` says; "test" finds the images to judge by alone, and reads no others if it can."""
        record, moved = _record(run), bool(where.data)
        where = where if record is None else _filled(where, record)
        test = _test(where)
        if use == "test" and not moved and (test is not None or (record is not None and record["test"] is not None)):
            judged = (
                _read_test(run, record, None, where) if test is None and record is not None else _images(test, where)
            )
            name = test.stem if test is not None else Path(str(record and record["test"])).stem
            return self._judged(None, judged, config, record, name)
        found = self._of_before(run, where, config) if record is None else self._found_again(run, where, config, record)
        if use == "train" and record is not None and not found.own:
            check_unchanged(found.name, run, record["held_out"], describe(found.test))
        if use == "both" and record is not None and read_config(run).get("data") not in _words_of(found.train):
            _errors.fail_value("DATA", f"the data with which {run} began", "others")
        return replace(found, train=None) if use == "test" else found

    def shape(self, examples: Examples) -> tuple[int, ...]:
        """(C, H, W) of the images."""
        return tuple((examples.train or examples.test).images.shape[1:])

    def _found_again(self, run: Path, where: Where, config: Any, record: Mapping[str, Any]) -> Examples:
        known = str(record["data"])
        lost = Path(known).is_absolute() and not Path(known).exists()
        if lost and not where.data and (record["rows"] is not None or DEFAULT not in os.environ):
            raise FileNotFoundError(
                f"{known}: expected the data with which {run} began, found none; say where they lie"
            )
        place, test = _place(where, None if lost else known), _test(where)
        learned, judged = _drawn(run, record, place, where) if record["rows"] is not None else _read(place, where)
        if test is not None:
            judged = _images(test, where)
        elif judged is None:
            judged = _read_test(run, record, place, where)
        return self._judged(learned, judged, config, record, test.stem if test is not None else place.name)

    def _judged(
        self, learned: ImageSet | None, judged: ImageSet, config: Any, record: Mapping[str, Any] | None, name: str
    ) -> Examples:
        train = None if learned is None else self._select(learned, config)
        test = self._select(judged, config)
        described = describe(test)
        own = record is not None and described == record["held_out"]
        return Examples(train, test, record=record, own=own, name=name, word=_hash(described))

    def _of_before(self, run: Path, where: Where, config: Any) -> Examples:
        """Images of a run that did not write down what it held back: they must be those that it has learned."""
        about = read_config(run)
        if not where.data and "format" in about and not about.get("source", {}).get("data"):
            _errors.fail_value("data", f"the images of {run}, which were handed in from Python", "none")
        found = self.opened(where, config)
        divides = found.record is not None and found.record["rows"] is not None
        same = about.get("data") in _words_of(found.train)
        if divides and not same:
            got = f"others, or another number ({len(found.train) + len(found.test)}); {_ELSE}"
            _errors.fail_value(_place(where).word, f"the images with which {run} began", got)
        return replace(found, record=None, own=not where.test and (same or "format" not in about))

    def _select(self, images: ImageSet, config: Any) -> ImageSet:
        return images if self._chosen is None else self._chosen(images, config)


IMAGES = Images()


def image_set(name: str, data: Any, labels: Any = None) -> ImageSet:
    """Images as somebody hands them in: an `ImageSet`, an array, or a pair (images, labels); errors as `as_images`."""
    if isinstance(data, ImageSet):
        return data if labels is None else image_set(name, data.images, labels)
    if isinstance(data, tuple) and len(data) == 2:
        data, labels = data
    images = as_images(data, shape_of(data, name), name)
    words = "labels" if name == "images" else f"labels of {name}"
    return ImageSet(images, None if labels is None else as_labels(labels, len(images), words).cpu())


def of_classes(images: ImageSet, classes: Sequence[int]) -> ImageSet:
    """The images of some classes; all where no class is named, or nobody can tell without labels."""
    return images.select(classes) if classes and images.labels is not None else images


def classes_given(data: Examples, classes: tuple[int, ...], known: ImageSet) -> tuple[int, ...]:
    """The classes that a configuration names; of images handed in from Python without any, those that are `known`.

    So the run is judged by these. What a data set or a file holds is all learned and judged where no class is named.
    """
    if classes or data.record is not None or known.labels is None:
        return classes
    return tuple(known.labels.unique().tolist())


def check_fit(data: Examples, shape: tuple[int, int, int], *, labelled: bool = False) -> None:
    """Images are of a shape (C, H, W), and those to judge by have labels where they are `labelled`.

    Raises:
        ValueError: They are not, or have none.
    """
    for images in (data.train, data.test):
        if images is not None and tuple(images.images.shape[1:]) != shape:
            _errors.fail_value(data.name, f"images of {shape}", tuple(images.images.shape[1:]))
    if labelled and data.test is not None and data.test.labels is None:
        _errors.fail_value(data.name, "images to judge by with a label for each", "some without labels")


def _hash(described: Any) -> str:
    return str(described["sha256"])


def _place(where: Where, known: str | None = None) -> Place:
    """Where the data lie that somebody names, or else those that a run `known` as this word."""
    if len(where.data) > 1:
        _errors.fail_value("DATA", "one file, folder or data set of images", f"{len(where.data)} of them")
    if not where.data and known is not None and not Path(known).is_absolute():
        return named(known, "images")  # whatever files of that name there are by now
    return located(where.data[0] if where.data else known, "images")


def _test(where: Where) -> Path | None:
    if len(where.test) > 1:
        _errors.fail_value("--test", "one file of images (DATA stands before it)", len(where.test))
    return Path(where.test[0]) if where.test else None


def _read(place: Place, where: Where) -> tuple[ImageSet, ImageSet | None]:
    """What is there to learn from, and to judge by, where the data set has its own."""
    if place.dataset is not None:
        if where.channels_last is not None:
            _errors.fail_value("channels_last", "a file of images beside it", place.word)
        return _two(place)
    assert place.path is not None, "what has no name has a path"
    if place.path.is_dir():
        _errors.fail_value(
            str(place.path), "a file of images, or the folder of a data set with a name", "another folder"
        )
    return _images(place.path, where), None


def _two(place: Place) -> tuple[ImageSet, ImageSet | None]:
    """Of a data set that has a name; another package's may load anything."""
    found = place.loaded()
    learned, judged = found if isinstance(found, tuple) and len(found) == 2 else (None, None)
    if not isinstance(learned, ImageSet) or not isinstance(judged, ImageSet | None):
        expected = "a data set that loads a pair, of an ImageSet and of another or None"
        _errors.fail_type(place.word, expected, type(found).__name__)
    return learned, judged


def _images(path: Path | None, where: Where) -> ImageSet:
    assert path is not None
    return load_images(path, channels_last=where.channels_last)


def _beside(test: Path, learned: ImageSet, where: Where) -> ImageSet:
    others = _images(test, where)
    if others.images.shape[1:] != learned.images.shape[1:]:
        _errors.fail_value(str(test), f"images of {tuple(learned.images.shape[1:])}", tuple(others.images.shape[1:]))
    return others


def _filled(where: Where, record: Mapping[str, Any]) -> Where:
    """The same with what a run's record knows and nobody says."""
    layout = record.get("channels_last") if where.channels_last is None else where.channels_last
    return replace(where, channels_last=layout)


def _drawn(run: Path, record: Mapping[str, Any], place: Place, where: Where) -> tuple[ImageSet, ImageSet]:
    """Images of a file by the rows that the run has drawn; what was added behind them is of no role."""
    if place.path is None or place.path.is_dir():
        expected = f"the file that {run} has divided, {record['data']}"
        _errors.fail_value(place.word, expected, f"a folder; {_ELSE}")
    count = record["of"]["images"]
    images = _images(place.path, where)
    if len(images) > count:
        print(f"{place.path}: {len(images) - count:,} images behind the {count:,} of the run are left out")
        images = ImageSet(images.images[:count], None if images.labels is None else images.labels[:count])
    check_unchanged(str(place.path), run, record["of"], describe(images), _ELSE)
    return parted(images, _rows(run, record["rows"], count))


def _read_test(run: Path, record: Mapping[str, Any], place: Place | None, where: Where) -> ImageSet:
    """The file of test images with which a run began."""
    if record["test"] is None:
        got = f"a file, which has no test images of its own; {_ELSE}"
        name = "" if place is None else place.word
        _errors.fail_value(name, f"the folder with which {run} began, {record['data']}", got)
    judged = _images(Path(record["test"]), where)
    check_unchanged(record["test"], run, record["held_out"], describe(judged), _ELSE)
    return judged


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
