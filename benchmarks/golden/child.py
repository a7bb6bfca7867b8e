"""A process that works for the golden runs, in the folder in which it is started: all they call of the package.

python -m benchmarks.golden.child prepare | python -m benchmarks.golden.child run NAME | ... begin NAME
"""

import json
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks.golden.runs import RUNS, Golden, Words

# digits to learn from and to judge by, events, photographs
_TRAIN, _TEST, _EVENTS, _PHOTOGRAPHS = 640, 64, 400, 40
_INTERRUPTED_AT = 3  # checkpoints


def latentcore(words: Words) -> int:
    """The command line."""
    from latentcore.cli import main

    print("latentcore", *words, flush=True)
    return main(words)


def prepare() -> int:
    """Make what the runs learn from."""
    from latentcore.data import mnist

    Path("digits").mkdir()
    for split, name, count in (("train", "train", _TRAIN), ("test", "t10k", _TEST)):
        digits = mnist.embedded(split)
        _write_idx(Path("digits") / f"{name}-images-idx3-ubyte", digits.images[:count, 0].numpy())
        _write_idx(Path("digits") / f"{name}-labels-idx1-ubyte", digits.known_labels()[:count].numpy().astype(np.uint8))
    for number, digit in enumerate(digits.images[:2, 0].numpy()):
        Image.fromarray(digit).save(f"digit-{number}.png")
    _write_photographs(Path("photographs"))
    return latentcore(("data", "simulate", "--events", str(_EVENTS), "--out", "events.h5", "--seed", "1"))


def run(golden: Golden) -> int:
    """Do the commands of a run; the first one that fails ends it."""
    for path in (golden.name, f"out/{golden.name}"):  # of configurations, and of what is written beside the run
        Path(path).mkdir(parents=True, exist_ok=True)
    if golden.settings and not golden.begun:
        _write_configuration(golden)
    with precision(sixteen_bits=golden.sixteen_bits):
        return next((failed for words in golden.commands if (failed := latentcore(words))), 0)


def begin(golden: Golden) -> int:
    """Begin a run and interrupt it, as Ctrl-C does in the moment in which a checkpoint is there but for its name."""
    if golden.settings:
        _write_configuration(golden)
    left = _INTERRUPTED_AT

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event == "os.rename" and str(arguments[1]).endswith("last.pth"):
            left -= 1
            if not left:
                raise KeyboardInterrupt

    sys.addaudithook(see)
    with precision(sixteen_bits=golden.sixteen_bits):
        return latentcore(golden.begun)


@contextmanager
def precision(*, sixteen_bits: bool) -> Iterator[None]:
    """Inside, torch says of the processor that it multiplies bfloat16, or that it does not: "auto" depends on that."""
    with (
        mock.patch("torch.cpu._is_avx512_bf16_supported", return_value=sixteen_bits),
        mock.patch("torch.cpu._is_amx_tile_supported", return_value=sixteen_bits),
    ):
        yield


def _write_configuration(golden: Golden) -> None:
    path = Path(f"{golden.name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    if latentcore(("config", "autoencoder", "vae-2d", "--out", str(path))):
        raise RuntimeError(f"{path} cannot be written")
    config = json.loads(path.read_text())
    config["train"].update(golden.settings)
    path.write_text(json.dumps(config))


def _write_idx(path: Path, array: np.ndarray) -> None:
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def _write_photographs(folder: Path) -> None:
    """Smooth colours with an edge, in files that are not pressed: their bytes are no matter of a library's version."""
    folder.mkdir()
    rows, columns = np.indices((32, 32))
    for number in range(_PHOTOGRAPHS):
        waves = [(number * 13 + rows * a + columns * b) % 256 for a, b in ((3, 5), (5, 2), (2, 7))]
        picture = np.stack([np.abs(wave - 128) * 2 % 256 for wave in waves], 2).astype(np.uint8)
        picture[:, number % 24 + 4 :] //= 2
        Image.fromarray(picture).save(folder / f"{number:02}.bmp")


def main(words: list[str]) -> int:
    """Do what the words say."""
    if words == ["prepare"]:
        return prepare()
    task, name = words
    return {"run": run, "begin": begin}[task](RUNS[name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
