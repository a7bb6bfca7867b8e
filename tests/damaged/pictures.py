"""Images in files of their own, of every format and kind that is read."""

import struct
import zlib

import numpy as np
from PIL import Image
from tests.damaged.changes import changed

from latentcore.data import ImageFolder, read_image

SHAPE = (3, 24, 24)


def whole_files(folder):
    random = np.random.default_rng(0)
    coloured = Image.fromarray(random.integers(0, 256, (30, 40, 4), dtype=np.uint8))
    deep = Image.fromarray(random.integers(0, 4096, (30, 40), dtype=np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    kinds = {
        "plain.png": (coloured.convert("RGB"), {}),
        "clear.png": (coloured, {}),
        "grey.png": (coloured.convert("L"), {"exif": exif}),
        "deep.png": (deep, {}),
        "palette.png": (coloured.convert("P"), {"transparency": 3}),
        "bits.png": (coloured.convert("1"), {}),
        "plain.jpg": (coloured.convert("RGB"), {"exif": exif}),
        "steps.jpg": (coloured.convert("RGB"), {"progressive": True}),
        "inks.jpg": (coloured.convert("CMYK"), {}),
        "plain.webp": (coloured, {}),
        "exact.webp": (coloured, {"lossless": True}),
        "film.webp": (coloured, {"save_all": True, "append_images": [coloured.rotate(90)]}),
        "plain.bmp": (coloured.convert("RGB"), {}),
        "palette.bmp": (coloured.convert("P"), {}),
    }
    for name, (image, words) in kinds.items():
        image.save(folder / name, **words)
    return list(kinds)


def damage(path, random):
    """Half of the PNGs have the checksums of what is in them."""
    found = changed(path.read_bytes(), random, head=100)
    again = path.suffix == ".png" and random.random() < 0.5
    path.write_bytes(_with_checksums(found) if again else found)


def _with_checksums(content):
    found, place = bytearray(content), 8
    while place + 12 <= len(found):
        (length,) = struct.unpack_from(">I", found, place)
        end = place + 8 + length
        if end + 4 > len(found):
            break
        struct.pack_into(">I", found, end, zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


def readers(name, number):
    return {
        "coloured": lambda path: read_image(path, SHAPE),
        "grey, as it is": lambda path: read_image(path, (1, 30, 40), fit=False),
        "folder": lambda path: ImageFolder([path], SHAPE),
    }
