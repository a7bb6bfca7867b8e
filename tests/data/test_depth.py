"""16-bit files whose values have fewer bits: scaled by their own range, all of a folder alike, and never silently."""

import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from latentcore.data import ImageFolder, load_folder, read_image


def save(path, values):
    Image.fromarray(np.asarray(values, dtype=np.uint16)).save(path)


def save_colours(path, values):
    """Values (H, W, 3) as a PNG file of 16 bits, which Pillow does not write."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    values = np.asarray(values, dtype=">u2")
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    data = b"".join(b"\0" + row.tobytes() for row in values)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("largest", "bits"), [(4095, 12), (2100, 12), (900, 10), (255, 8), (1, 8), (9000, 14), (16384, 16)]
)
def test_a_file_is_scaled_by_the_bits_that_its_values_have(tmp_path, largest, bits):
    save(tmp_path / "a.png", [[0, largest]])
    expected = round(255 * largest / (2**bits - 1))
    if bits == 16:
        assert read_image(tmp_path / "a.png", (1, 1, 2)).tolist() == [[[0, expected]]]
    else:
        words = rf"a\.png: 16-bit values up to {largest} are taken as of {bits} bits: {2**bits - 1} is white"
        with pytest.warns(UserWarning, match=words):
            assert read_image(tmp_path / "a.png", (1, 1, 2)).tolist() == [[[0, expected]]]


def test_a_transparent_value_is_black_and_no_brightness(tmp_path):
    Image.fromarray(np.array([[0, 4000, 65535]], dtype=np.uint16)).save(tmp_path / "a.png", transparency=65535)
    with pytest.warns(UserWarning, match="up to 4000 are taken as of 12 bits"):
        assert read_image(tmp_path / "a.png", (1, 1, 3)).tolist() == [[[0, 249, 0]]]


def test_white_is_what_one_says(tmp_path):
    save(tmp_path / "a.png", [[0, 400, 3000]])
    assert read_image(tmp_path / "a.png", (1, 1, 3), white=65535).tolist() == [[[0, 2, 12]]]
    assert read_image(tmp_path / "a.png", (1, 1, 3), white=3000).tolist() == [[[0, 34, 255]]]
    with pytest.raises(ValueError, match=r"a\.png: expected 16-bit values up to 2999, got 3000"):
        read_image(tmp_path / "a.png", (1, 1, 3), white=2999)
    with pytest.raises(ValueError, match=r"white: expected an int in \[255, 65535\], got 1"):
        read_image(tmp_path / "a.png", (1, 1, 3), white=1)


@pytest.mark.parametrize("cached", [False, True])
def test_all_files_of_a_folder_have_one_white(tmp_path, cached):
    for name, value in (("a", 100), ("b", 2000), ("c", 4000)):
        save(tmp_path / f"{name}.png", np.full((8, 8), value))
    Image.new("L", (8, 8), 9).save(tmp_path / "d.png")  # eight bits, of which nothing changes
    (tmp_path / "e.png").write_bytes((tmp_path / "a.png").read_bytes()[:45])
    folder = tmp_path / "cache" if cached else None
    expected = [6, 125, 249, 9]
    with pytest.warns(
        UserWarning, match="3 images with 16-bit values up to 4000 are taken as of 12 bits: 4095 is white"
    ):
        found = ImageFolder(tmp_path, (1, 8, 8), cache_dir=folder)
    assert found.images.amax((1, 2, 3)).tolist() == expected
    (tmp_path / "e.png").unlink()
    with pytest.warns(UserWarning, match="4095 is white"):
        assert load_folder(tmp_path, (1, 8, 8)).images.amax((1, 2, 3)).tolist() == expected


def test_a_folder_takes_the_white_of_another(tmp_path):
    save(tmp_path / "a.png", np.full((8, 8), 2000))
    for white, expected in ((4095, 125), (65535, 8), (4095, 125)):
        found = ImageFolder(tmp_path / "a.png", (1, 8, 8), cache_dir=tmp_path / "cache", white=white)
        assert found.images.unique().tolist() == [expected]
    with pytest.raises(ValueError, match="expected 16-bit values up to 1023, got 2000"):
        ImageFolder(tmp_path / "a.png", (1, 8, 8), white=1023)


def test_a_folder_that_uses_all_bits_says_nothing(tmp_path):
    for name, value in (("a", 100), ("b", 40_000)):
        save(tmp_path / f"{name}.png", np.full((8, 8), value))
    found = ImageFolder(tmp_path, (1, 8, 8))  # warnings are errors in tests
    assert found.images.amax((1, 2, 3)).tolist() == [0, 156]


def test_colours_whose_bits_are_lost_are_refused(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (8, 8, 3))
    save_colours(tmp_path / "a.png", values)
    with pytest.raises(ValueError, match=r"a\.png: expected colours that use all 16 bits, .* got values of 12 bits"):
        read_image(tmp_path / "a.png", (3, 8, 8))
    save_colours(tmp_path / "b.png", 16 * values)
    expected = torch.from_numpy((16 * values) >> 8).permute(2, 0, 1)
    assert torch.equal(read_image(tmp_path / "b.png", (3, 8, 8)), expected.to(torch.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ImageFolder(tmp_path, (3, 8, 8))) == 2  # beside the other, this one is a dark one of 16 bits
    (tmp_path / "b.png").unlink()
    with pytest.warns(UserWarning, match="12 bits"), pytest.raises(ValueError, match="none of 1"):
        ImageFolder(tmp_path, (3, 8, 8))
