"""Photographs of folders, and images that stand for some: opened, divided, and found again as they were."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from latentcore import _errors
from latentcore._files import printable, read_config
from latentcore.data.arrays import SUFFIXES
from latentcore.data.examples import DataKind, Examples, Where, places_in
from latentcore.data.folders import Found, ImageFolder, check_room, common_white
from latentcore.data.hashes import fingerprint
from latentcore.data.held_out import read_record
from latentcore.data.image_sets import IMAGES, image_set
from latentcore.data.registry import catalogue, located
from latentcore.systems.photographs.config import PhotographsConfig, PhotographsOptions
from latentcore.systems.photographs.files import Files, divided, judged_by, judged_by_before, record_of, resumed
from latentcore.training.processes import is_first

_KIND = "photographs"
_SHOWN = 5  # lines of what is left out


class Photographs(DataKind):
    """Photographs below folders, decoded at the size that a configuration has; or images, whose size it follows.

    Example:
        >>> import numpy as np
        >>> PHOTOGRAPHS.given(np.zeros((30, 3, 16, 16), np.uint8), None).train.images.shape
        torch.Size([30, 3, 16, 16])
    """

    def given(self, data: Any, config: PhotographsConfig, **others: Any) -> Examples:
        """A `data.ImageFolder`, an array, or names and paths, one or several; `Examples` as they are.

        Of folders a tenth is held out, where there is no `test`; of photographs that are read already, none.
        """
        if isinstance(data, Examples):
            return self.with_roles(data, config, **others)
        words, judged = places_in(data) or (), places_in(others.get("test")) or ()
        if words and judged:
            del others["test"]
        if words:
            return self.with_roles(self.opened(Where(words, judged), config), config, **others)
        train = _pictures("images", data, config)
        return self.with_roles(Examples(train, source={"image_shape": list(train.images.shape[1:])}), config, **others)

    def with_roles(self, examples: Examples, config: PhotographsConfig, **roles: Any) -> Examples:
        """With photographs for `test` and `validation`, each as `given` takes them."""
        for name in roles.keys() - {"test", "validation"}:
            _errors.fail_value(name, "none: photographs have no labels", "some")
        found: dict[str, Any] = {name: _pictures(name, data, config) for name, data in roles.items()}
        if "test" in found:
            found |= {"name": "test", "word": fingerprint(found["test"].images)}
        return replace(examples, **found)

    def opened(self, where: Where, config: PhotographsConfig) -> Examples:
        """Every tenth photograph is to judge by, where there are no others for that."""
        words = where.data
        if not words:
            _errors.fail_value("DATA", "at least one folder of photographs", "none")
        if _are_images(words):
            return IMAGES.opened(where, config)
        folders, test = _folders(words, where), _folders(where.test, where)
        learned, judged, white = _read_both(divided(folders, test), config, where.options)
        record = record_of(folders, test, learned.paths, judged.paths, white)
        source = {name: record[name] for name in ("folders", "test") if record[name]}
        return Examples(learned, judged, record=record, source=source, name=(test or folders)[0].stem)

    def reopened(
        self, run: Path, where: Where, config: PhotographsConfig, use: Literal["train", "test", "both"]
    ) -> Examples:
        """As it was, or as `where` says; "test" reads no more than the photographs to judge by."""
        if use == "test" and where.test:
            where = replace(where, data=())
        if _begun_with_images(run, where):
            return IMAGES.reopened(run, where, config, use)
        folders, test = _folders(where.data, where), _folders(where.test, where)
        if use == "test":
            files = _to_judge_by(run, folders, test)
            learned, judged = None, _read_alone(files, config, where.options)
        else:
            files = resumed(run, folders, test) or divided(*_places(run, folders, test))
            learned, judged, _ = _read_both(files, config, where.options)
        name = files.name or files.held_out.files[0].parent.name
        return Examples(learned, judged, own=files.own, name=name, word=files.word)

    def shape(self, examples: Examples) -> tuple[int, ...] | None:
        """(C, H, W) of images; None of photographs, which are read as the configuration says."""
        known = examples.record or {}
        return None if known.get("kind") == _KIND else IMAGES.shape(examples)


PHOTOGRAPHS = Photographs()


def _pictures(name: str, data: Any, config: PhotographsConfig) -> Any:
    """Something that has `images`."""
    if isinstance(data, ImageFolder):
        return data
    words = places_in(data)
    return ImageFolder(_folders(words), config.vae.image_shape) if words else image_set(name, data)


def _are_images(words: Sequence[str]) -> bool:
    """Whether a word leads to images that are decoded already: a file of them, or a data set."""
    if len(words) != 1:
        return False
    path = Path(words[0])
    if path.is_dir():
        return located(words[0], "images").dataset is not None
    if path.exists() or words[0] not in catalogue.names:
        return path.suffix in SUFFIXES
    return catalogue.find(words[0]).kind == "images"


def _folders(words: Sequence[str], where: Where | None = None) -> list[Path]:
    """Folders of photographs, as whole paths: photographs then have the same names wherever they are named."""
    if words and where is not None and where.channels_last is not None:
        _errors.fail_value("channels_last", "a file of images beside it", f"the folder {words[0]}")
    found: list[Path] = []
    for word in words:
        place = located(word, _KIND)
        paths = [word] if place.dataset is None else place.loaded()
        found += [Path(path).resolve() for path in paths]
    return found


def _begun_with_images(run: Path, where: Where) -> bool:
    """Whether images are meant, not photographs; whoever goes on must mean what the run began with."""
    record = read_record(run)
    known = "images" if record is not None and record.get("kind") == "images" else _KIND
    if record is None and "data" in _source(run):
        known = "images"
    words = where.test or where.data
    found = "images" if _are_images(words) else _KIND
    if record is not None and words and not where.test and found != known:
        _errors.fail_value(words[0], f"the {known} with which {run} began", f"{found}; name others with --test")
    return (found if words else known) == "images"


def _to_judge_by(run: Path, folders: Sequence[Path], test: Sequence[Path]) -> Files:
    """The photographs to judge a run by: `test`, or those that its training has held out."""
    if (files := judged_by(run, folders, test)) is not None:
        return files
    known_folders, known_test = _places(run, folders, test)
    return judged_by_before(run, known_folders, known_test, known=not test)


def _places(run: Path, folders: Sequence[Path], test: Sequence[Path]) -> tuple[Sequence[Path], Sequence[Path]]:
    """What somebody names, or else what the run remembers of where its photographs lie."""
    source = _source(run)
    known, known_test = ([Path(name) for name in source.get(role) or []] for role in ("folders", "test"))
    if not (folders or known or test or known_test):
        _errors.fail_value("DATA", f"the folders of photographs of {run}", "none")
    return folders or known, test or known_test


def _source(run: Path) -> Mapping[str, Any]:
    """Where a run's data lay when it began."""
    source = read_config(run).get("source", {})
    places = [source.get(name) or [] for name in ("folders", "test")] if isinstance(source, dict) else [source]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in places):
        raise ValueError(f"{run / 'config.json'}: source: expected lists of folders, got {source!r}")
    found: Mapping[str, Any] = source
    return found


def _read_both(
    files: Files, config: PhotographsConfig, options: PhotographsOptions | None
) -> tuple[ImageFolder, ImageFolder, int | None]:
    """Photographs to learn from and to judge by, and what is white in those of 16 bits."""
    options = options or PhotographsOptions()
    both = [*files.learned.files, *files.held_out.files]
    shape = config.vae.image_shape
    if options.cache_dir is None:
        check_room(len(both), shape, options.cache)
    white = common_white(both) if files.white is None else files.white
    learned = _read(files.learned, "to learn from", shape, options.cache_dir, white)
    return learned, _read(files.held_out, "to judge by", shape, options.cache_dir, white), white


def _read_alone(files: Files, config: PhotographsConfig, options: PhotographsOptions | None) -> ImageFolder:
    """Photographs to judge by."""
    options = options or PhotographsOptions()
    shape = config.vae.image_shape
    if options.cache_dir is None:
        check_room(len(files.held_out.files), shape, options.cache)
    return _read(files.held_out, "to judge by", shape, options.cache_dir, files.white)


def _read(
    found: Found, purpose: str, shape: tuple[int, int, int], cache_dir: Path | None, white: int | None
) -> ImageFolder:
    # there is room for them, or a file
    read = ImageFolder(found.files, shape, cache=math.inf, cache_dir=cache_dir, white=white)
    read.left_out += map(printable, found.left_out)
    if is_first():
        print(f"{len(read):,} photographs {purpose}" + (f", {len(read.left_out):,} left out" if read.left_out else ""))
        for line in read.left_out[:_SHOWN]:
            print(f"  {line}")
        if len(read.left_out) > _SHOWN:
            print(f"  and {len(read.left_out) - _SHOWN:,} more")
    return read
