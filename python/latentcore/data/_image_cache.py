"""Decoded images in a file, which later runs read instead of decoding again."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentcore._files import open_regular, replacing

# shapes: N images, (C, H, W) of one image

_LINE = 2**16  # bytes that the list needs for a file at most: its path twice, all of it escaped
_VERSION = 2  # of how images are decoded; another one finds no old file


class Store:
    """Where the images of some files are kept: an array beside a list of what is left out of it.

    Args:
        folder: Of all such files; made where it is missing.
        files: What the images are read from.
        shape: (C, H, W).
        white: What is white in 16-bit files; None: what is found from all of them.
    """

    def __init__(
        self, folder: Path, files: Sequence[Path], shape: tuple[int, int, int], white: int | None = None
    ) -> None:
        self._shape, self._files = shape, files
        word = hashlib.sha256(
            json.dumps([_VERSION, shape, white, [_state(path) for path in files]]).encode()
        ).hexdigest()
        self._array, self._list = folder / f"{word[:32]}.npy", folder / f"{word[:32]}.json"

    def images(
        self, decode: Callable[[], Iterable[Tensor]], lost: dict[str, str], *, keep: Callable[[], bool]
    ) -> Tensor:
        """The images (N, C, H, W), mapped into memory; where there are none yet, `decode` gives some at a time.

        Args:
            decode: Gives images (B, C, H, W) in their order and puts into `lost` what it leaves out.
            lost: Takes the reason for each path that is left out.
            keep: Asked after decoding, whether a later run may rely on it.
        """
        if (known := self._left_out()) is not None and (
            found := self._known(len(self._files) - len(known))
        ) is not None:
            lost.update(known)
            return found
        written = self._written(decode())
        if keep():
            with replacing(self._list) as temporary:  # last, for it says that the array is whole
                temporary.write_text(json.dumps(lost))
        return written

    def _written(self, blocks: Iterable[Tensor]) -> Tensor:
        count = 0
        with replacing(self._array) as temporary:
            with temporary.open("wb") as file:
                file.write(self._header(len(self._files)))
                for block in blocks:
                    file.write(block.numpy().data)
                    count += len(block)
                file.seek(0)
                file.write(self._header(count))  # NumPy leaves room for any number of rows
            # under the name there may soon be another process's file
            return self._mapped(temporary, count)

    def _header(self, count: int) -> bytes:
        header = BytesIO()
        about = {"descr": "|u1", "fortran_order": False, "shape": (count, *self._shape)}
        np.lib.format.write_array_header_1_0(header, about)
        return header.getvalue()

    def _left_out(self) -> dict[str, str] | None:
        """What the list says; None where it is missing or damaged."""
        try:
            with open_regular(self._list) as file:
                content = json.loads(file.read(_LINE * (1 + len(self._files))))
        except (OSError, ValueError, RecursionError):
            return None
        names = {str(path) for path in self._files}
        whole = isinstance(content, dict) and all(isinstance(reason, str) for reason in content.values())
        return content if whole and content.keys() <= names else None

    def _known(self, count: int) -> Tensor | None:
        """The array, where it is whole and has so many images; nothing else in the file is believed."""
        header = self._header(count)
        try:
            with open_regular(self._array) as file:
                same = file.read(len(header)) == header
            size = self._array.stat().st_size
            whole = same and count > 0 and size == len(header) + count * prod(self._shape)
            return self._mapped(self._array, count) if whole else None
        except (OSError, ValueError):
            return None

    def _mapped(self, path: Path, count: int) -> Tensor:
        # of pages that were written to, which nobody should, the process would have its own
        shape = (count, *self._shape)
        return torch.from_numpy(np.memmap(path, np.uint8, "c", offset=len(self._header(count)), shape=shape))


def _state(path: Path) -> list[object]:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), found.st_size, found.st_mtime_ns]
