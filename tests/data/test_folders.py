"""Folders of photographs: what is found, what is left out, and what is kept for later."""

import contextlib
import json
import os
import struct
import threading
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from latentcore.data import ImageFolder, _image_cache, folders, read_image
from latentcore.testing import peak_memory_mb

RANDOM = np.random.default_rng(0)
SHAPE = (3, 16, 16)


def save(path, size=(24, 20), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path, **options)
    return path


def header_only(path, width, height):
    """A PNG whose header promises so many pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))))


@pytest.fixture
def mixed(tmp_path):
    """Four photographs of four formats in nested folders, and everything that can be wrong with others."""
    top = tmp_path / "photographs"
    for name in ("b.png", "a/deep/z.JPG", "a/c.webp", "d.bmp"):
        save(top / name)
    (top / "text.jpg").write_text("no photograph")
    (top / "notes.txt").write_text("not looked at")
    save(top / "dot.png", (1, 1))
    header_only(top / "large.png", 10_000, 10_000)
    whole = save(top / "short.jpg", (64, 64)).read_bytes()
    (top / "short.jpg").write_bytes(whole[: len(whole) // 2])
    (top / "a/loop").symlink_to(top, target_is_directory=True)
    (top / "round.jpg").symlink_to("round.jpg")
    (top / "gone").symlink_to(tmp_path / "nowhere")
    return top


LEFT_OUT = {
    "text.jpg": "expected a whole PNG, JPEG, WebP or BMP image, got another content",
    "dot.png": "expected sides of at least 8 pixels, got 1 x 1",
    "large.png": "expected at most 50 megapixels, got more by the file's header",
    "short.jpg": "expected a whole PNG, JPEG, WebP or BMP image, got image file is truncated",
    "a/loop": "expected a folder of its own, got another name of",
    "round.jpg": "expected a file or a folder, got a link that leads nowhere",
    "gone": "expected a file or a folder, got a link that leads nowhere",
}


@pytest.mark.parametrize("cached", [False, True])
def test_photographs_are_found_and_the_rest_is_named(mixed, tmp_path, cached):
    found = ImageFolder(mixed, SHAPE, cache_dir=tmp_path / "cache" if cached else None)
    assert [str(path.relative_to(mixed)) for path in found.paths] == ["a/c.webp", "a/deep/z.JPG", "b.png", "d.bmp"]
    assert found.images.dtype == torch.uint8
    assert torch.equal(found.images, torch.stack([read_image(path, SHAPE) for path in found.paths]))
    assert len(found) == len(found.images) == 4
    assert len(found.left_out) == len(LEFT_OUT)
    for name, reason in LEFT_OUT.items():
        assert any(line.startswith(f"{mixed / name}: {reason}") for line in found.left_out), name


def test_a_second_run_decodes_nothing(mixed, tmp_path, monkeypatch):
    first = ImageFolder(mixed, SHAPE, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(folders, "read_image", None)
    again = ImageFolder(mixed, SHAPE, cache_dir=tmp_path / "cache")
    assert torch.equal(again.images, first.images)
    assert (again.paths, sorted(again.left_out)) == (first.paths, sorted(first.left_out))


def zipped(array):
    np.savez(array.with_suffix(".npz"), np.zeros(3))
    array.with_suffix(".npz").replace(array)


# what other readers of such files would fail on
DAMAGE = {
    "array": lambda array, _: array.write_bytes(b"damaged"),
    "cut": lambda array, _: array.write_bytes(array.read_bytes()[:-1]),
    "longer": lambda array, _: array.write_bytes(array.read_bytes() + b"1"),
    "empty": lambda array, _: array.write_bytes(b""),
    "archive": lambda array, _: zipped(array),
    "no archive": lambda array, _: array.write_bytes(b"PK\x03\x04"),
    "large numbers": lambda array, _: array.write_bytes(array.read_bytes().replace(b"(2,", b"(" + b"9" * 30 + b",")),
    "no header": lambda array, _: array.write_bytes(array.read_bytes()[:10] + b"(" * 200),
    "list": lambda _, names: names.write_text("["),
    "deep list": lambda _, names: names.write_text("[" * 100_000),
}


@pytest.mark.parametrize("change", ["pixels", "shape", "another count", *DAMAGE])
def test_what_has_changed_is_decoded_again(tmp_path, change):
    path = save(tmp_path / "in/a.png")
    save(tmp_path / "in/b.png")
    ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache")
    (array,), (names,) = (list((tmp_path / "cache").glob(pattern)) for pattern in ("*.npy", "*.json"))
    shape = (1, 16, 16) if change == "shape" else SHAPE
    if change == "pixels":
        save(path)
        os.utime(path, ns=(1, 1))
    elif change in DAMAGE:
        DAMAGE[change](array, names)
    elif change == "another count":
        names.write_text(json.dumps({str(path): "bad"}))
    found = ImageFolder(tmp_path / "in", shape, cache_dir=tmp_path / "cache")
    assert torch.equal(found.images, ImageFolder(tmp_path / "in", shape).images)


def test_what_the_disk_did_not_give_is_asked_for_again(tmp_path, monkeypatch):
    for name in "ab":
        save(tmp_path / f"in/{name}.png")
    read = folders.read_image

    def fail(path, *words, **options):
        if path.name == "a.png":
            raise OSError(5, "Input/output error")
        return read(path, *words, **options)

    monkeypatch.setattr(folders, "read_image", fail)
    found = ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache")
    assert found.left_out == [f"{tmp_path / 'in/a.png'}: Input/output error"]
    assert len(found.images) == 1
    monkeypatch.undo()
    assert len(ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache")) == 2


def test_a_file_that_goes_while_others_are_decoded(tmp_path, monkeypatch):
    for name in "ab":
        save(tmp_path / f"in/{name}.png")
    listed = folders.find_images

    def list_and_lose(paths):
        found = listed(paths)
        (tmp_path / "in/b.png").unlink()
        return found

    monkeypatch.setattr(folders, "find_images", list_and_lose)
    found = ImageFolder(tmp_path / "in", SHAPE)
    assert found.left_out == [f"{tmp_path / 'in/b.png'}: No such file or directory"]
    assert found.paths == [tmp_path / "in/a.png"]


def test_another_process_may_write_the_same_cache(tmp_path, monkeypatch):
    for name in "ab":
        save(tmp_path / f"in/{name}.png")
    write = _image_cache.replacing

    @contextlib.contextmanager
    def then_another(path):
        with write(path) as temporary:
            yield temporary
        path.unlink()
        path.write_bytes(b"of another process")

    monkeypatch.setattr(_image_cache, "replacing", then_another)
    found = ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache")
    assert torch.equal(found.images, ImageFolder(tmp_path / "in", SHAPE).images)


def test_the_limit_itself_is_enough(tmp_path):
    save(tmp_path / "a.png")
    size = 3 * 16 * 16 / 1e6
    assert len(ImageFolder(tmp_path, SHAPE, cache=size)) == 1
    with pytest.raises(ValueError, match=r"cache: expected at least 0\.001 megabytes for 1 images"):
        ImageFolder(tmp_path, SHAPE, cache=size - 1e-6)
    with pytest.raises(ValueError, match=r"cache: expected at least .* got nan"):
        ImageFolder(tmp_path, SHAPE, cache=float("nan"))


def test_a_pickle_in_the_cache_is_never_read(tmp_path):
    save(tmp_path / "in/a.png")
    expected = ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache").images.clone()
    (array,) = (tmp_path / "cache").glob("*.npy")
    with array.open("wb") as file:
        np.save(file, np.array([print], dtype=object), allow_pickle=True)
    assert torch.equal(ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache").images, expected)


def test_an_interruption_leaves_nothing_half_written(tmp_path, monkeypatch):
    for number in range(3):
        save(tmp_path / f"in/{number}.png")

    def stop(path, *_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(folders, "read_image", stop)
    with pytest.raises(KeyboardInterrupt):
        ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_gives_the_same(tmp_path, threads):
    for number in range(40):
        save(tmp_path / f"{number:02}.png")
    (tmp_path / "07.png").write_text("damaged")
    before = threading.active_count()
    found = ImageFolder(tmp_path, SHAPE, threads=threads)
    assert [path.name for path in found.paths] == [f"{number:02}.png" for number in range(40) if number != 7]
    assert torch.equal(found.images[10], read_image(tmp_path / "11.png", SHAPE))
    assert threading.active_count() == before


def test_several_folders_files_and_linked_folders(tmp_path):
    for name in ("x/2.png", "x/1.png", "y/3.png", "elsewhere/4.png", "single"):
        save(tmp_path / name, format="PNG")
    (tmp_path / "y/link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    found = ImageFolder([tmp_path / "y", tmp_path / "single", tmp_path / "x", tmp_path / "x/1.png"], SHAPE)
    assert [path.name for path in found.paths] == ["3.png", "4.png", "single", "1.png", "2.png"]
    assert found.left_out == []


def test_odd_exif_data_make_no_noise(tmp_path):
    save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff")
    assert len(ImageFolder(tmp_path, SHAPE)) == 1  # warnings are errors in tests


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"paths": "empty"}, ValueError, r"empty: expected at least one file named \.png, .*, got none"),
        ({"paths": []}, ValueError, "paths: expected at least one file"),
        ({"paths": "nowhere"}, FileNotFoundError, "nowhere"),
        ({"paths": "bad"}, ValueError, r"expected at least one image that can be used, got none of 2; .*1\.png: "),
        ({"cache": 0.001}, ValueError, r"cache: expected at least 0\.002 megabytes for 2 images, or a folder"),
        ({"cache": "much"}, TypeError, "cache: expected a number, got str"),
        ({"threads": 0}, ValueError, r"threads: expected an int in \[1, 1024\], got 0"),
        ({"shape": (2, 4, 4)}, ValueError, r"shape: expected \(C, H, W\) with C 1 or 3"),
    ],
)
def test_what_cannot_be_is_one_message(tmp_path, monkeypatch, options, error, message):
    monkeypatch.chdir(tmp_path)
    for name in ("good/1.png", "good/2.png"):
        save(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    for name in ("1.png", "2.png"):
        (tmp_path / "bad" / name).write_text("text")
    with pytest.raises(error, match=message):
        ImageFolder(**({"paths": "good", "shape": SHAPE} | options))


def test_nothing_is_kept_where_no_image_can_be_used(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/1.png").write_text("text")
    with pytest.raises(ValueError, match="none of 1"):
        ImageFolder(tmp_path / "in", SHAPE, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_large_jpegs_are_decoded_small_and_look_the_same(tmp_path):
    across, down = np.meshgrid(np.linspace(0, 255, 1000), np.linspace(255, 0, 800))
    smooth = Image.fromarray(np.stack([across, down, 255 - across], -1).astype(np.uint8))
    for name in ("a.jpg", "a.png"):
        smooth.save(tmp_path / name)
    jpeg, png = (read_image(tmp_path / name, (3, 64, 64)).int() for name in ("a.jpg", "a.png"))
    assert (jpeg - png).abs().max() <= 4


def test_memory_is_that_of_the_images(tmp_path):
    photograph = save(tmp_path / "first.jpg", (1600, 1200))
    for number in range(60):
        (tmp_path / f"{number}.jpg").symlink_to(photograph)
    ImageFolder(photograph, SHAPE)
    before = peak_memory_mb()
    ImageFolder(tmp_path, SHAPE, threads=2)
    assert peak_memory_mb() - before < 60  # all of them decoded would be 350
