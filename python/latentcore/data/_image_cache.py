"""Decoded images in a file, which later runs read instead of decoding again."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentcore._files import replacing

# shapes: N images, (C, H, W) of one image

_VERSION = 1  # of how images are decoded; another one finds no old file


class Store:
    """Where the images of some files are kept: an array beside a list of what is left out of it.

    Args:
        folder: Of all such files; made where it is missing.
        files: What the images are read from.
        shape: (C, H, W).
    """

    def __init__(self, folder: Path, files: Sequence[Path], shape: tuple[int, int, int]) -> None:
        self._shape, self._files = shape, files
        word = hashlib.sha256(json.dumps([_VERSION, shape, [_state(path) for path in files]]).encode()).hexdigest()
        self._array, self._list = folder / f"{word[:32]}.npy", folder / f"{word[:32]}.json"

    def images(self, decode: Callable[[], Iterable[Tensor]], lost: dict[str, str]) -> Tensor:
        """The images (N, C, H, W), mapped into memory; where there are none yet, `decode` gives some at a time.

        Args:
            decode: Gives images (B, C, H, W) in their order and puts into `lost` what it leaves out.
            lost: Takes the reason for each path that is left out.
        """
        if (known := self._left_out()) is not None and (
            found := self._mapped(len(self._files) - len(known))
        ) is not None:
            lost.update(known)
            return found
        count = self._write(decode())
        with replacing(self._list) as temporary:  # last, for it says that the array is whole
            temporary.write_text(json.dumps(lost))
        written = self._mapped(count)
        assert written is not None
        return written

    def _write(self, blocks: Iterable[Tensor]) -> int:
        count = 0
        with replacing(self._array) as temporary, temporary.open("wb") as file:
            self._write_header(file, len(self._files))
            for block in blocks:
                file.write(block.numpy().data)
                count += len(block)
            file.seek(0)
            self._write_header(file, count)  # NumPy leaves room for any number of rows
        return count

    def _write_header(self, file: object, count: int) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self._shape)}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]  # its stub wants a protocol

    def _left_out(self) -> dict[str, str] | None:
        """What the list says; None where it is missing or damaged."""
        try:
            content = json.loads(self._list.read_text())
        except (OSError, ValueError):
            return None
        names = {str(path) for path in self._files}
        whole = isinstance(content, dict) and all(isinstance(reason, str) for reason in content.values())
        return content if whole and content.keys() <= names else None

    def _mapped(self, count: int) -> Tensor | None:
        """The array, where it is whole and has so many images."""
        try:
            # of pages that were written to, which nobody should, the process would have its own
            array = np.load(self._array, mmap_mode="c", allow_pickle=False)
        except (OSError, ValueError):
            return None
        fits = isinstance(array, np.ndarray) and array.dtype == np.uint8 and array.shape == (count, *self._shape)
        return torch.from_numpy(array) if fits and count else None


def _state(path: Path) -> list[object]:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), found.st_size, found.st_mtime_ns]
