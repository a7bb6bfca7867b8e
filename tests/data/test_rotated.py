import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from latentcore.data import ImageSet, RotatedDigits, TransformedImages, mnist, transformed
from latentcore.ops import affine, rotate

DIGITS = mnist.embedded("test")
FEW = ImageSet(DIGITS.images[:7], DIGITS.labels[:7])
MOVED = {"angles": None, "scale": (0.7, 1.3), "translate": 3.0}


def assert_equal(found, expected):
    """Up to the last bit, since a 255th is a factor in one place and a divisor in another."""
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


def everything(pairs):
    return pairs.batch(torch.arange(len(pairs)))


def test_transformed_is_one_affine_map():
    parameters = torch.tensor([[30.0, 1.0, 0.0, 0.0], [-45.0, 1.5, 2.0, -3.0], [400.0, 0.5, 0.5, 0.0]])
    images = FEW.images[:3]
    expected = affine(
        images, angle=parameters[:, 0], scale=parameters[:, 1], translate=parameters[:, 2:], dtype=torch.float32
    )
    assert torch.equal(transformed(images, parameters), expected)
    torch.testing.assert_close(transformed(images.double() / 255, parameters.double()), expected)
    # to the right and down
    still = transformed(images, torch.tensor([[0.0, 1.0, 2.0, 1.0]]).expand(3, 4))
    assert_equal(still[..., 1:, 2:], images[..., :-1, :-2].float() / 255)


def test_fixed_angles_turn_every_image_by_each():
    angles = [0, 90, 180, 270, 33.5]
    pairs = TransformedImages(FEW, angles=angles)
    assert len(pairs) == 7 * 5
    for i in (0, 8, 14, -1):
        image, turned, parameters = pairs[i]
        n, a = divmod(i % len(pairs), 5)
        assert_equal(image, FEW.images[n].float() / 255)
        assert parameters.tolist() == [angles[a], 1, 0, 0]
        if a < 4:
            assert_equal(turned, image.rot90(a, (1, 2)))
    images, turned, parameters = everything(pairs)
    torch.testing.assert_close(turned, rotate(images, parameters[:, 0]), rtol=0, atol=1e-6)


def test_continuous_parameters_fill_their_ranges():
    pairs = TransformedImages(DIGITS, **MOVED)
    assert len(pairs) == len(DIGITS)
    images, moved, parameters = everything(pairs)
    assert torch.equal(moved, transformed(DIGITS.images, parameters))
    assert_equal(images, DIGITS.images.float() / 255)
    low, high = torch.tensor([0, 0.7, -3, -3]), torch.tensor([360, 1.3, 3, 3])
    uniform = ((parameters - low) / (high - low)).sort(0).values
    assert ((uniform >= -1e-6) & (uniform <= 1 + 1e-6)).all()
    # Kolmogorov and Smirnov's distance to the uniform distribution: 1.95 / sqrt(500) at 0.1 %
    steps = (torch.arange(500) + 0.5)[:, None] / 500
    assert (uniform - steps).abs().max() < 1.95 / 500**0.5
    correlation = torch.corrcoef(parameters.T) - torch.eye(4)
    assert correlation.abs().max() < 0.15


def test_items_are_a_function_of_seed_epoch_and_place():
    pairs = TransformedImages(FEW, **MOVED, seed=5)
    first = everything(pairs)[2]
    order = torch.tensor([4, 0, 4, 6])
    assert torch.equal(pairs.batch(order)[2], first[order])
    assert torch.equal(pairs[-3][2], first[4])
    # the same place of a larger set
    assert torch.equal(TransformedImages(DIGITS, **MOVED, seed=5).batch(order)[2], first[order])
    pairs.set_epoch(1)
    second = everything(pairs)[2]
    other_seed = everything(TransformedImages(FEW, **MOVED, seed=6))[2]
    assert (first != second).all()
    assert (first != other_seed).all()
    assert (second != other_seed).all()
    pairs.set_epoch(0)
    assert torch.equal(everything(pairs)[2], first)


def test_parameters_of_given_numbers():
    uniform = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.34, 0.5, 0.5, 0.25], [1 - 2**-24, 0.25, 0.75, 0.5]])
    options = {"scale": (0.5, 1.5), "translate": 4}
    expected = torch.tensor([[0.5, -4, -4], [1, 0, -2], [0.75, 2, 0]])
    fixed = TransformedImages(FEW, angles=(10, 20, 30), **options).parameters_of(uniform)
    assert torch.equal(fixed[:, 1:], expected)
    assert fixed[:, 0].tolist() == [10, 20, 30]
    continuous = TransformedImages(FEW, angles=None, **options).parameters_of(uniform)
    assert torch.equal(continuous[:, 1:], expected)
    assert torch.equal(continuous[:, 0], uniform[:, 0] * 360)
    assert continuous[:, 0].max() < 360


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("make", [lambda: TransformedImages(FEW, **MOVED), lambda: RotatedDigits.study(DIGITS)])
def test_a_loader_gives_what_batch_gives(workers, make):
    pairs = make()
    loader = DataLoader(pairs, batch_size=5, num_workers=workers)
    for epoch in range(2):
        pairs.set_epoch(epoch)
        columns = [torch.cat(parts) for parts in zip(*loader, strict=True)]
        for loaded, batched in zip(columns, everything(pairs), strict=True):
            assert torch.equal(loaded, batched)


def test_pickled_pairs_are_the_same():
    pairs = TransformedImages(FEW, **MOVED, seed=3)
    pairs.set_epoch(2)
    for found, expected in zip(everything(pickle.loads(pickle.dumps(pairs))), everything(pairs), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("angles", [None, (0, 30)])
def test_batches_are_made_on_the_device_without_looking_at_numbers(angles):
    pairs = RotatedDigits(FEW, digits=FEW.labels.unique().tolist(), angles=angles)
    there = pairs.to("meta")  # a device without numbers: whoever asks for one fails
    assert pairs.images.device.type == "cpu"
    images, turned, turn = there.batch(torch.zeros(3, dtype=torch.int64, device="meta"))
    parameters = there.parameters_of(torch.rand(3, 4, device="meta"))
    assert {x.device.type for x in (images, turned, turn, parameters, there.images, there.labels)} == {"meta"}
    assert turned.shape == (3, 1, 28, 28)


def test_a_canvas_keeps_the_whole_digit():
    pairs = TransformedImages(DIGITS, angles=range(0, 360, 15), canvas=40)
    images, turned, _ = everything(pairs)
    assert images.shape[2:] == (40, 40)
    assert_equal(images[::24, :, 6:34, 6:34], DIGITS.images.float() / 255)
    kept = turned.sum((1, 2, 3)) / images.sum((1, 2, 3))
    assert (kept - 1).abs().max() < 0.03
    full = ImageSet(torch.full((1, 1, 28, 28), 255, dtype=torch.uint8))
    lost = everything(TransformedImages(full, angles=(45,)))[1].sum() / 28**2
    whole = everything(TransformedImages(full, angles=(45,), canvas=40))[1].sum() / 28**2
    assert lost < 0.9
    assert abs(whole - 1) < 0.01


@pytest.mark.parametrize(("size", "canvas", "first"), [((5, 4), 5, (0, 0)), ((5, 4), 8, (1, 2)), ((4, 4), 7, (1, 1))])
def test_where_a_canvas_holds_the_image(size, canvas, first):
    images = torch.full((1, 3, *size), 9, dtype=torch.uint8)
    found = TransformedImages(images, canvas=canvas).images
    assert found.shape == (1, 3, canvas, canvas)
    top, left = first
    assert (found[..., top : top + size[0], left : left + size[1]] == 9).all()
    assert found.sum() == images.sum()


def test_images_of_every_kind(tmp_path):
    pixels = FEW.images[:, 0].numpy()
    for n, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{n}.png")
    read_only = pixels.copy()
    read_only.flags.writeable = False
    for images in (FEW, FEW.images, FEW.images[:, 0], read_only, pixels[::-1][::-1], tmp_path, str(tmp_path)):
        assert torch.equal(TransformedImages(images).images, FEW.images)
    assert TransformedImages(tmp_path, image_shape=(3, 14, 14)).images.shape == (7, 3, 14, 14)
    assert torch.equal(TransformedImages(FEW).labels, FEW.labels)


def test_rotated_digits(mnist_folder):
    study = RotatedDigits.study()
    assert len(study) == 2 * 300 * 12
    assert study.labels.unique().tolist() == [1, 2]
    image, turned, turn = study[12 * 5 + 3]
    assert_equal(turned, image.rot90(1, (1, 2)))
    assert (turn.item(), turn.shape, turn.dtype) == (0.25, (), torch.float32)
    assert everything(study)[2].tolist() == pytest.approx([a / 12 for a in range(12)] * 600)
    from_files = RotatedDigits(mnist_folder, digits=(2, 1), angles=None, canvas=40, seed=1)
    assert len(from_files) == 600
    images, turned, turns = everything(from_files)
    assert_equal(images[..., 6:34, 6:34], study.images.float() / 255)
    expected = rotate(images, turns.double() * 360)
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-4)
    assert len(RotatedDigits()) == 3000 * 12


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"angles": ()}, ValueError, "angles: expected finite degrees, at least one, or None, got none"),
        ({"angles": (0, float("nan"))}, ValueError, "angles: expected finite degrees.*, got nan"),
        ({"angles": np.array([np.inf])}, ValueError, "angles: expected finite degrees.*, got inf"),
        ({"angles": (1e300,)}, ValueError, "angles: expected finite degrees"),
        ({"angles": 30.0}, TypeError, "angles: expected finite degrees.*, got float"),
        ({"angles": ("a",)}, TypeError, "angles: expected finite degrees.*, got str"),
        ({"scale": (0, 1)}, ValueError, r"scale: expected \(low, high\) with 0 < low <= high, got \(0, 1\)"),
        ({"scale": (2, 1)}, ValueError, "scale: expected"),
        ({"scale": (1, 2, 3)}, ValueError, "scale: expected"),
        ({"scale": (1, float("inf"))}, ValueError, "scale: expected .*, got inf"),
        ({"scale": 1.5}, TypeError, "scale: expected .*, got float"),
        ({"translate": -1}, ValueError, "translate: expected a finite number >= 0, got -1"),
        ({"translate": float("nan")}, ValueError, "translate: expected a finite number >= 0, got nan"),
        ({"translate": "a"}, TypeError, "translate: expected a finite number >= 0, got str"),
        ({"canvas": 27}, ValueError, r"canvas: expected an int in \[28, 32768\], got 27"),
        ({"canvas": 40.0}, TypeError, "canvas: expected an int, got float"),
        ({"seed": -1}, ValueError, "seed: expected an int in"),
        ({"images": [1]}, TypeError, r"images: expected an ImageSet, an array, .*, got list"),
        (
            {"images": np.full((1, 2, 2), 2.0)},
            ValueError,
            r"images: expected floats in .*, got values from 2",
        ),
        ({"images": torch.zeros(1, 2, 2, dtype=torch.int32)}, TypeError, "images: expected uint8, or floats"),
        ({"images": torch.zeros(2, 2, dtype=torch.uint8)}, ValueError, r"images: expected shape \(N, H, W\) or"),
    ],
)
def test_wrong_arguments(options, error, message):
    with pytest.raises(error, match=message):
        TransformedImages(**{"images": FEW, **options})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"digits": (1, 11)}, ValueError, r"digits: expected some of \[0, 1, .*\], got \[1, 11\]"),
        ({"digits": ()}, ValueError, "digits: expected some of"),
        ({"images": ImageSet(FEW.images)}, ValueError, "labels: expected a label for every image, got none"),
        ({"images": FEW.images}, TypeError, "images: expected an ImageSet, a folder or None, got Tensor"),
        ({"images": "nowhere"}, FileNotFoundError, "nowhere"),
    ],
)
def test_wrong_digits(options, error, message):
    with pytest.raises(error, match=message):
        RotatedDigits(**options)


def test_places_outside_and_wrong_calls():
    pairs = TransformedImages(FEW, angles=(0, 90))
    for place in (14, -15):
        with pytest.raises(IndexError, match=rf"index: expected ints in \[-14, 13\], got {place}"):
            pairs[place]
    for places in ([0, 14], [-1, 3]):
        with pytest.raises(IndexError, match=r"indices: expected ints in \[0, 13\], got (14|-1)"):
            pairs.batch(torch.tensor(places))
    assert len(list(pairs)) == 14  # iteration ends where places end
    assert [len(x) for x in pairs.batch(torch.tensor([], dtype=torch.int64))] == [0, 0, 0]
    with pytest.raises(TypeError, match="indices: expected int64"):
        pairs.batch(torch.tensor([0.0]))
    with pytest.raises(ValueError, match=r"indices: expected shape \(B,\)"):
        pairs.batch(torch.tensor([[0]]))
    with pytest.raises(ValueError, match=r"uniform: expected shape \(B, 4\)"):
        pairs.parameters_of(torch.rand(4, 3))
    with pytest.raises(ValueError, match=r"parameters: expected shape \(7, 4\)"):
        transformed(FEW.images, torch.zeros(6, 4))
    with pytest.raises(ValueError, match="epoch: expected an int in"):
        pairs.set_epoch(-1)


def test_floats_are_rounded_to_bytes():
    pixels = torch.rand(3, 1, 8, 8)
    for images in (pixels, pixels.numpy(), pixels[:, 0].double().numpy()):
        assert torch.equal(TransformedImages(images).images, (pixels * 255).round().byte())
