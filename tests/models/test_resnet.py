import pytest
import torch
from torch.nn import functional as F

from latentcore.models import ResNet15, ResNetConfig
from latentcore.models.resnet import ResidualBlock


@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 32, 32), (3, 32, 32), (1, 9, 13), (3, 1, 1)])
@pytest.mark.parametrize("width", [0.25, 1 / 64])
def test_shapes(shape, width):
    config = ResNetConfig(image_shape=shape, classes=3, width=width)
    model, images = ResNet15(config).eval(), torch.rand(4, *shape)
    logits = model(images)
    assert logits.shape == (4, 3)
    features = model.features(images)
    assert features.shape == (4, config.channels[-1])
    assert torch.equal(model.head(features), logits)
    torch.testing.assert_close(model(images[1:2]), logits[1:2], rtol=1e-4, atol=1e-5)
    assert model(images[:0]).shape == (0, 3)


def test_the_last_three_blocks_halve_the_image():
    model = ResNet15(ResNetConfig(image_shape=(2, 29, 32), classes=2, width=0.125)).eval()
    maps, sizes = model.stem(torch.rand(1, 2, 29, 32)), []
    for block in model.blocks:
        maps = block(maps)
        sizes.append(tuple(maps.shape[1:]))
    assert sizes == [(8, 29, 32), (16, 15, 16), (32, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 5), (1, 2)])
def test_a_shortcut_is_a_strided_convolution(height, width):
    """As saved weights were trained with."""
    block = ResidualBlock(3, 5, 2).double().eval()
    maps = torch.randn(2, 3, height, width, dtype=torch.float64)
    convolution, normalisation = block.shortcut
    normalisation.running_mean.uniform_(-1, 1)
    expected = normalisation(F.conv2d(maps, convolution.weight, stride=2))
    torch.testing.assert_close(block.shortcut(block.thinning(maps)), expected)
    torch.testing.assert_close(block(maps), F.relu(block.body(maps) + expected))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_parameters_counted_by_hand(channels):
    config = ResNetConfig(image_shape=(channels, 28, 28), classes=2)
    assert config.channels == (64, 128, 256, 512)
    # convolutions without biases, two numbers for each normalised channel
    expected = 9 * channels * 64 + 2 * 64  # stem
    expected += 2 * (9 * 64 * 64 + 2 * 64)  # the first block needs no convolution in its shortcut
    for before, after in ((64, 128), (128, 256), (256, 512)):
        expected += 9 * before * after + 9 * after * after + before * after + 3 * 2 * after
    expected += 512 * 2 + 2
    with torch.device("meta"):
        assert sum(p.numel() for p in ResNet15(config).parameters()) == expected


def test_it_learns():
    labels = torch.arange(32) % 2
    images = 0.2 * torch.rand(32, 1, 12, 12)
    images[labels == 0, :, 4:7, :] += 0.7
    images[labels == 1, :, :, 4:7] += 0.7
    model = ResNet15(ResNetConfig(image_shape=(1, 12, 12), classes=2, width=0.125, dropout=0.1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    assert all(p.grad.any() for p in model.parameters())
    # on bars that it has not seen
    others = images.roll(1, 2).flip(3)
    assert (model.eval()(others).argmax(1) == labels).all()


def test_dropout_drops_only_in_training():
    model, images = ResNet15(ResNetConfig(width=1 / 16, dropout=0.5)), torch.rand(4, 1, 28, 28)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError, "images: expected float32"),
        (torch.zeros(2, 1, 27, 28), ValueError, r"images: expected shape \(N, 1, 28, 28\)"),
        (torch.zeros(1, 28, 28), ValueError, r"images: expected shape \(N, 1, 28, 28\)"),
        (None, TypeError, "images: expected a torch.Tensor"),
    ],
)
def test_wrong_images(images, error, message):
    with pytest.raises(error, match=message):
        ResNet15(ResNetConfig(width=1 / 64))(images)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"classes": 0}, ValueError, r"ResNetConfig\.classes: expected"),
        ({"classes": 2.0}, TypeError, r"ResNetConfig\.classes: expected an int"),
        ({"image_shape": (28, 28)}, ValueError, "image_shape: expected 3 entries"),
        ({"image_shape": (0, 28, 28)}, ValueError, "image_shape: expected"),
        ({"width": 0.0}, ValueError, r"ResNetConfig\.width: expected"),
        ({"width": 17.0}, ValueError, r"ResNetConfig\.width: expected"),
        ({"dropout": 1.0}, ValueError, r"ResNetConfig\.dropout: expected"),
        ({"dropout": -0.1}, ValueError, r"ResNetConfig\.dropout: expected"),
    ],
)
def test_wrong_configurations(fields, error, message):
    with pytest.raises(error, match=message):
        ResNetConfig(**fields)
