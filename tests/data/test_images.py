import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from latentcore.data import images, load_folder, read_image

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
# corners of four colours, large enough for JPEG to keep them
CORNERS = np.kron(np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 0]]]), np.ones((16, 16, 1)))
ORIENTATION = 0x0112


def as_tensor(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def save(pixels, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)
    return path


def huge_png(path, width=20_000, height=20_000):
    """A small file whose header promises more than is there."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def huge_bmp(path, width=20_000, height=20_000):
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp"])
def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path, name):
    path = save(COLOURS, tmp_path / name, lossless=True)
    assert torch.equal(read_image(path, (3, 6, 9)), as_tensor(COLOURS))


def test_grey_is_pillows_and_any_name_will_do(tmp_path):
    path = save(COLOURS, tmp_path / "a.png").rename(tmp_path / "picture")
    grey = np.array(Image.fromarray(COLOURS).convert("L"))
    assert torch.equal(read_image(path, (1, 6, 9)), torch.from_numpy(grey)[None])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_is_turned_as_its_exif_says(tmp_path, orientation):
    upright = as_tensor(CORNERS)
    # how the camera stored what was upright
    stored = {
        1: upright,
        2: upright.flip(2),
        3: upright.rot90(2, (1, 2)),
        4: upright.flip(1),
        5: upright.transpose(1, 2),
        6: upright.rot90(1, (1, 2)),
        7: upright.rot90(2, (1, 2)).transpose(1, 2),
        8: upright.rot90(-1, (1, 2)),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(stored.permute(1, 2, 0).numpy(), tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    found = read_image(path, (3, 32, 32))
    assert (found.float() - upright).abs().max() < 20  # JPEG, beside colours that differ by 250


def test_transparency_lies_on_black(tmp_path):
    alpha = RANDOM.integers(0, 256, (6, 9, 1), dtype=np.uint8)
    path = save(np.concatenate((COLOURS, alpha), axis=2), tmp_path / "a.png")
    expected = as_tensor(COLOURS * (alpha / 255.0))
    assert (read_image(path, (3, 6, 9)).float() - expected).abs().max() <= 1
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([200, 200, 200, 100, 100, 100])
    palette.putpixel((1, 2), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    found = read_image(tmp_path / "p.png", (1, 4, 4))
    assert (found[0, 2, 1], found.sum()) == (100, 100)


def test_sixteen_bits_are_rounded(tmp_path):
    deep = np.array([[0, 128, 129], [257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", (1, 2, 3)).tolist() == [[[0, 0, 1], [1, 128, 255]]]


@pytest.mark.parametrize(
    ("size", "resized", "crop"), [((40, 20), (20, 10), (4, 0, 16, 10)), ((18, 60), (12, 40), (0, 15, 12, 25))]
)
def test_the_short_side_fits_and_the_middle_stays(tmp_path, size, resized, crop):
    image = Image.fromarray(RANDOM.integers(0, 256, (size[1], size[0]), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    expected = np.array(image.resize(resized, Image.Resampling.BILINEAR).crop(crop))
    found = read_image(tmp_path / "a.png", (1, 10, 12))[0]
    assert (found.int() - torch.from_numpy(expected)).abs().max() <= 1  # of rounding


def damage(folder):
    """Files that must be refused."""
    content = save(np.kron(COLOURS, np.ones((4, 4, 1))), folder / "whole.jpg").read_bytes()
    (folder / "short.jpg").write_bytes(content[:-30])
    content = save(COLOURS, folder / "whole.png").read_bytes()
    (folder / "short.png").write_bytes(content[: len(content) // 2])
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.webp").write_bytes(b"")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    film = io.BytesIO()
    Image.fromarray(COLOURS).save(film, "GIF")
    (folder / "gif.png").write_bytes(film.getvalue())
    huge_png(folder / "huge.png")
    huge_png(folder / "large.png", 10_000, 5_001)
    huge_png(folder / "packed.png", 10_000, 1_601)
    huge_png(folder / "warned.png", 10_000, 9_000)  # where Pillow would warn
    huge_bmp(folder / "huge.bmp")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short.jpg", "expected a whole PNG, JPEG, WebP or BMP image, got image file is truncated"),
        ("short.png", "expected a whole PNG, JPEG, WebP or BMP image, got image file is truncated"),
        ("text.jpg", "expected a whole PNG, JPEG, WebP or BMP image, got another content"),
        ("empty.webp", "expected a whole PNG, JPEG, WebP or BMP image, got another content"),
        ("gif.png", "expected a whole PNG, JPEG, WebP or BMP image, got another content"),
        ("folder.png", "expected a regular file, got a folder"),
        ("pipe.png", "expected a regular file, got a pipe"),
        ("huge.png", "expected at most 50 megapixels"),
        ("large.png", "expected at most 50 megapixels"),
        ("packed.png", "expected at most 200 pixels for each byte, got 16,010,000 in"),
        ("warned.png", "expected at most 50 megapixels"),
        ("huge.bmp", "expected at most 50 megapixels"),
    ],
)
def test_damaged_and_hostile_files(tmp_path, name, message):
    damage(tmp_path)
    with pytest.raises(ValueError, match=message) as caught:
        read_image(tmp_path / name, (1, 6, 9))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp"])
def test_a_file_cut_short_is_refused_or_lacks_nothing(tmp_path, name):
    path = save(COLOURS, tmp_path / name)
    content, whole = path.read_bytes(), read_image(path, (3, 6, 9))
    refused = []
    for length in range(0, len(content), 5):
        path.write_bytes(content[:length])
        try:
            found = read_image(path, (3, 6, 9))
        except ValueError as error:
            refused.append(str(error))
        else:
            assert torch.equal(found, whole)
    assert len(refused) >= len(content) // 5 - 5
    assert all(message.startswith(f"{path}: expected a whole") for message in refused)


def test_a_folder_with_folders_in_its_order(tmp_path):
    values = {"b/2.png": 2, "a/deep/1.JPG": 1, "c.Bmp": 4, "b/3.webp": 3, "d.jpeg": 5}
    for name, value in values.items():
        save(np.full((4, 4, 3), value * 40), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "a/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "e.png").symlink_to(tmp_path / "b/2.png")
    found = load_folder(tmp_path, (1, 4, 4))
    assert found.labels is None
    assert found.images.shape == (6, 1, 4, 4)
    assert (found.images.double().mean((1, 2, 3)) / 40).round().tolist() == [1, 2, 3, 4, 5, 2]


def test_folders_that_cannot_be_read(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected at least one file named \.png, .*, got none"):
        load_folder(tmp_path / "empty", (1, 4, 4))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_folder(tmp_path / "nowhere", (1, 4, 4))
    for name in ("c.png", "b.png"):
        (tmp_path / name).write_text("hello")
    save(COLOURS, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"b\.png: expected a whole"):
        load_folder(tmp_path, (1, 4, 4))


@pytest.mark.parametrize(
    ("shape", "error", "message"),
    [
        ((2, 4, 4), ValueError, r"shape: expected \(C, H, W\) with C 1 or 3"),
        ((4, 4), ValueError, r"shape: expected \(C, H, W\) with C 1 or 3"),
        ((1, 0, 4), ValueError, r"shape: expected an int in \[1, 32768\], got 0"),
        ((1, 4, 4.0), TypeError, "shape: expected an int, got float"),
    ],
)
def test_wrong_shapes(tmp_path, shape, error, message):
    path = save(COLOURS, tmp_path / "a.png")
    with pytest.raises(error, match=message):
        read_image(path, shape)


def test_what_the_disk_does_not_give_is_not_called_damaged(tmp_path, monkeypatch):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(images.Image, "open", fail)
    with pytest.raises(OSError, match=r"Input/output error: '.*a\.png'"):
        read_image(tmp_path / "a.png", (1, 4, 4))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        read_image(tmp_path / "a.png", (1, 4, 4))
