"""Folders of images: found, decoded once by all cores, and kept as bytes."""

import math
import os
import warnings
from collections.abc import Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._files import printable
from latentcore.data import _image_cache
from latentcore.data._depth import WHITE, warn_of_bits, white_of
from latentcore.data.arrays import ImageSet
from latentcore.data.images import brightest_in, check_shape, read_image

# shapes: N images, C channels, H rows, W columns

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

SMALLEST = 8  # pixels along a side: less is an icon or a counter, no picture
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_BLOCK = 512  # images that are decoded and not yet put away
_TASK = 16  # images that a thread is given at a time: handing over one costs as much as a tenth of its decoding


class Found(NamedTuple):
    """What lies below some folders.

    Attributes:
        files: Paths of the images, in the order in which they are used.
        left_out: A line for each folder that was not entered.
    """

    files: list[Path]
    left_out: list[str]


class ImageFolder(Sized):
    """The images of folders and of the folders in them, decoded once and kept as bytes.

    Each image is read as :func:`read_image` does: turned as its EXIF data says, resized until it just covers (H, W),
    and cropped about its centre. All cores decode. What cannot be used is left out, and said: a file that is damaged,
    cut short, no image, of more than 50 megapixels, or with a side of fewer than 8 pixels; a link that leads nowhere,
    or to a folder that was entered before, such as one that it lies in.

    All 16-bit PNG files have the same `white`.

    Args:
        paths: Folders, which are searched for files named .png, .jpg, .jpeg, .webp or .bmp, in capitals or not; or
            files, whatever their names. One of them, or several.
        shape: (C, H, W): C is 1 for grey or 3 for colours, H and W are in pixels.
        cache: Megabytes (10^6 bytes) that the images may take in memory, N * C * H * W in all. Beside them each thread
            has the image that it decodes, at its whole size but for JPEGs.
        cache_dir: A folder for the decoded images. They are then a file that is mapped into memory, of which the system
            keeps the pages that there is room for, whatever `cache` says; later calls for the same files (by their
            paths, sizes and times) and shape read it and decode nothing, unless the disk failed to give a file.
        threads: That decode; None: one for each core.
        white: The value that is white in 16-bit files, 255 to 65535. None: the largest number of 8, 10, 12, 14 or 16
            bits, the fewest that the values of all these files have; where these are not 16, a warning says so when
            they are decoded.

    Attributes:
        images: (N, C, H, W), uint8; not to be written to.
        paths: Where each of them lies. N.
        left_out: A line for each file and folder that is left out; it begins with its path, in which control characters
            and bytes that are no UTF-8 are escaped.

    Raises:
        OSError: A path does not exist, a folder cannot be read, or the cache's file cannot be written.
        TypeError: ``shape``, ``threads`` or ``white`` are no ints.
        ValueError: There is no image, none can be used, or they take more than ``cache``.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from latentcore.data import ImageFolder
        >>> Path("birds/small").mkdir(parents=True)
        >>> Image.new("RGB", (640, 480)).save("birds/small/wren.jpg")
        >>> _ = Path("birds/notes.jpg").write_text("seen in May")
        >>> birds = ImageFolder("birds", (3, 64, 64))
        >>> birds.images.shape
        torch.Size([1, 3, 64, 64])
        >>> birds.left_out
        ['birds/notes.jpg: expected a whole PNG, JPEG, WebP or BMP image, got another content']
    """

    def __init__(
        self,
        paths: Paths,
        shape: tuple[int, int, int] = (3, 64, 64),
        *,
        cache: float = 4096,
        cache_dir: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        white: int | None = None,
    ) -> None:
        self.shape = check_shape(shape)
        _errors.number("cache", cache)
        if threads is not None:
            _errors.integer("threads", threads, 1, 1024)
        if white is not None:
            _errors.integer("white", white, 255, WHITE)
        self._threads = threads or len(os.sched_getaffinity(0))
        self._unread = False  # whether the disk, not a file's content, is why one is left out
        found = find_images(paths)
        self._white = white
        lost: dict[str, str] = {}
        if cache_dir is None:
            check_room(len(found.files), self.shape, cache)
            self.images = self._in_memory(found.files, lost)
        else:
            store = _image_cache.Store(Path(cache_dir), found.files, self.shape, white)
            self.images = store.images(lambda: self._blocks(found.files, lost), lost, keep=lambda: not self._unread)
        self.paths = [path for path in found.files if str(path) not in lost]
        self.left_out = [printable(line) for line in (*found.left_out, *lost.values())]

    def __len__(self) -> int:
        return len(self.paths)

    def _in_memory(self, files: list[Path], lost: dict[str, str]) -> Tensor:
        images = torch.empty((len(files), *self.shape), dtype=torch.uint8)
        count = 0
        for block in self._blocks(files, lost):
            images[count : count + len(block)] = block
            count += len(block)
        return images[:count]

    def _blocks(self, files: list[Path], lost: dict[str, str]) -> Iterator[Tensor]:
        """The images in order, some at a time; `lost` learns why others cannot be used."""
        if self._white is None:
            self._white = common_white(files, threads=self._threads) or WHITE
        with warnings.catch_warnings(), ThreadPoolExecutor(self._threads) as pool:
            warnings.simplefilter("ignore")  # Pillow's of odd EXIF data and the like; they name no file
            for begin in range(0, len(files), _BLOCK):
                part = files[begin : begin + _BLOCK]
                tasks = [part[first : first + _TASK] for first in range(0, len(part), _TASK)]
                read = [image for images in pool.map(self._read, tasks) for image in images]
                lost.update((str(path), word) for path, word in zip(part, read, strict=True) if isinstance(word, str))
                if kept := [image for image in read if isinstance(image, Tensor)]:
                    yield torch.stack(kept)
        if len(lost) == len(files):
            first = next(iter(lost.values()))
            _errors.fail_value("paths", "at least one image that can be used", f"none of {len(files)}; {first}")

    def _read(self, paths: list[Path]) -> list[Tensor | str]:
        """The image of each path, or why it cannot be used."""
        return [self._read_one(path) for path in paths]

    def _read_one(self, path: Path) -> Tensor | str:
        try:
            return read_image(path, self.shape, smallest=SMALLEST, white=self._white)
        except OSError as error:
            self._unread = True
            return f"{path}: {error.strerror}"
        except ValueError as error:
            return str(error)


def check_room(count: int, shape: tuple[int, int, int], cache: float) -> None:
    """So many images take no more than `cache` megabytes."""
    needed = count * math.prod(shape)
    if not needed <= 1e6 * cache:  # NaN fails too
        words = f"at least {math.ceil(needed / 1e3) / 1e3:g} megabytes for {count:,} images"
        _errors.fail_value("cache", f"{words}, or a folder for them as cache_dir", f"{cache:g}")


def common_white(paths: Sequence[Path], *, threads: int | None = None) -> int | None:
    """What is white in all 16-bit images of some files, by the largest value of any; of fewer bits, with a warning.

    None where no file has 16 bits, or all such are black.
    """
    tasks = [paths[begin : begin + _TASK] for begin in range(0, len(paths), _TASK)]
    with warnings.catch_warnings(), ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        warnings.simplefilter("ignore")  # Pillow's, which name no file
        found = pool.map(lambda task: [brightest_in(path) for path in task], tasks)
        deep = [value for values in found for value in values if value]
    if not deep:
        return None
    if (white := white_of(max(deep))) != WHITE:
        warn_of_bits(f"{len(deep)} images with 16-bit values up to {max(deep)}", white)
    return white


def load_folder(folder: str | os.PathLike[str], shape: tuple[int, int, int]) -> ImageSet:
    """Read all images of a folder and of the folders in it, each as :func:`read_image` does.

    Unlike :class:`ImageFolder` this takes small images too, and a file that cannot be used is an error. 16-bit files
    have the same white, as there.

    Args:
        folder: Where the files lie: those named .png, .jpg, .jpeg, .webp or .bmp, in capitals or not. Links are
            followed, but no folder is entered twice.
        shape: (C, H, W): C is 1 for grey or 3 for colours, H and W are in pixels.

    Returns:
        Images (N, C, H, W), uint8, in the order of their sorted paths, without labels.

    Raises:
        OSError: The folder or a file cannot be opened.
        TypeError: ``shape`` does not hold ints.
        ValueError: There is no such file, or one is damaged: the first that is, by its path.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from latentcore.data import load_folder
        >>> Path("finches/young").mkdir(parents=True)
        >>> Image.new("RGB", (40, 30)).save("finches/young/one.jpg")
        >>> load_folder("finches", (3, 28, 28)).images.shape
        torch.Size([1, 3, 28, 28])
    """
    check_shape(shape)
    files = find_images(folder).files
    white = common_white(files) or WHITE
    return ImageSet(torch.stack([read_image(path, shape, white=white) for path in files]))


def find_images(paths: Paths) -> Found:
    """The images below some folders, each folder's in the order of its sorted paths; no folder is entered twice.

    Args:
        paths: As those of :class:`ImageFolder`.

    Raises:
        OSError: A path does not exist, or a folder cannot be read.
        ValueError: There is no image.
    """
    tops = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = Found([], [])
    entered: dict[Path, Path] = {}
    for top in map(Path, tops):
        top.stat()  # of a path that does not exist, an error with words of its own
        files = _below(top, entered, found.left_out) if top.is_dir() else [top]
        found.files.extend(sorted(files))
    if not found.files:
        words = "at least one file named " + ", ".join(_SUFFIXES)
        _errors.fail_value(", ".join(map(str, tops)) or "paths", words, "none")
    return Found(list(dict.fromkeys(found.files)), found.left_out)


def _below(top: Path, entered: dict[Path, Path], left_out: list[str]) -> list[Path]:
    """The images below a folder; `entered` has the real paths of all folders and the names they were found by."""
    files, folders = [], [top]
    while folders:
        folder = folders.pop()
        if (place := folder.resolve()) in entered:
            left_out.append(f"{folder}: expected a folder of its own, got another name of {entered[place]}")
            continue
        entered[place] = folder
        for entry in sorted(folder.iterdir(), reverse=True):
            if entry.is_dir():
                folders.append(entry)
            elif entry.is_symlink() and not entry.exists():
                left_out.append(f"{entry}: expected a file or a folder, got a link that leads nowhere")
            elif entry.name.lower().endswith(_SUFFIXES):
                files.append(entry)
    return files
