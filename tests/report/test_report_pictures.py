"""Pictures and small images, as they stand in the page."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from latentcore.evaluate.latents import latents_path, read_latents, write_latents
from latentcore.report.pictures import picture, sprite


def test_pictures_are_made_small_and_stay_what_they_are(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "samples.png")
    found = picture(tmp_path / "samples.png")
    assert found.words == "Images decoded from samples of the prior"
    assert (found.width, found.height) == (1600, 900)
    assert len(found.uri) < 0.8 * (tmp_path / "samples.png").stat().st_size
    frames = [Image.fromarray(noise[:300, i * 300 : (i + 1) * 300]) for i in range(4)]
    frames[0].save(tmp_path / "a_film.gif", save_all=True, append_images=frames[1:], duration=70)
    film = picture(tmp_path / "a_film.gif")
    assert film.words == "A film"
    assert film.uri.startswith("data:image/webp;base64,")
    with Image.open(io.BytesIO(_content(film.uri))) as again:
        assert again.n_frames == 4
    Image.fromarray(noise[:50, :50]).save(tmp_path / "small.png")
    assert _content(picture(tmp_path / "small.png").uri) == (tmp_path / "small.png").read_bytes()


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="pixels"):
        picture(tmp_path / "a.png")


def test_small_images_stand_where_the_page_looks_for_them(tmp_path):
    images = torch.rand(7, 3, 40, 80)
    path = write_latents(tmp_path, images, torch.zeros(7, 2), torch.arange(7))
    found = read_latents(path)
    assert found.images.shape == (7, 3, 16, 32)
    assert found.labels.tolist() == list(range(7))
    made = sprite(found)
    with Image.open(io.BytesIO(_content(made.uri))) as sheet:
        whole = np.asarray(sheet.convert("RGB")).astype(float)
    x, y = 32 * (5 % made.columns), 16 * (5 // made.columns)
    tile = whole[y : y + 16, x : x + 32].transpose(2, 0, 1)
    assert np.abs(tile.mean((1, 2)) - found.images[5].mean((1, 2))).max() < 6


def test_latents_of_large_images_are_fewer(tmp_path):
    write_latents(tmp_path, torch.zeros(1500, 3, 64, 64, dtype=torch.uint8), torch.zeros(1500, 4))
    assert len(read_latents(latents_path(tmp_path)).z) == 651


def _content(uri):
    return base64.b64decode(uri.partition(",")[2])
