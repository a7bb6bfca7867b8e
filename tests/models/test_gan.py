"""The two networks of a GAN."""

import pytest
import torch

from latentcore.models import GAN, GANConfig

SMALL = GANConfig(image_shape=(1, 12, 8), latent=5, channels=(4, 6), hidden=7)


def test_shapes_and_ranges():
    model = GAN(SMALL)
    images = model.draw(torch.randn(9, 5)).detach()
    assert images.shape == (9, 1, 12, 8)
    assert 0 < float(images.min()) < float(images.max()) < 1
    assert model.judge(images).shape == (9,)
    coloured = GAN(GANConfig(image_shape=(3, 16, 16), channels=(4, 6, 8)))
    assert coloured.draw(torch.randn(2, 64)).shape == (2, 3, 16, 16)


def test_what_is_said_of_an_image_depends_on_it_alone():
    model = GAN(SMALL).train()
    images = torch.rand(6, 1, 12, 8)
    torch.testing.assert_close(model.judge(images)[2:3], model.judge(images[2:3]))


def test_noise_is_a_function_of_the_seed():
    model, real = GAN(SMALL), torch.rand(6, 1, 12, 8)
    one, same, other = (model(real, seed=seed, steep=2) for seed in (1, torch.tensor([1]), 2))
    assert torch.equal(one.fake, same.fake)
    assert not torch.equal(one.fake, other.fake)
    assert torch.equal(one.real, other.real)
    # both see the same drawn images
    torch.testing.assert_close(one.fake, one.judged)


@pytest.mark.parametrize("term", ["real", "fake", "judged", "steepness"])
def test_who_learns_from_what(term):
    model = GAN(SMALL)
    getattr(model(torch.rand(6, 1, 12, 8), seed=0, steep=2), term).sum().backward()
    learners = {
        name: any(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
        for name, network in (("generator", model.generator), ("discriminator", model.discriminator))
    }
    assert learners == {"generator": term == "judged", "discriminator": term != "judged"}


def test_steepness_is_the_squared_gradient_of_each_image():
    model = GAN(SMALL).double()
    real = torch.rand(6, 1, 12, 8, dtype=torch.float64)
    found = model(real, seed=0, steep=3).steepness
    step = 1e-6
    for image, steepness in zip(real[:3], found, strict=True):
        moved = image + step * torch.eye(image.numel(), dtype=torch.float64).view(-1, *image.shape)
        slopes = (model.judge(moved) - model.judge(image[None])) / step
        torch.testing.assert_close(slopes.square().sum().float(), steepness.float(), rtol=1e-3, atol=0)


def test_steepness_is_found_without_gradients_too():
    model, real = GAN(SMALL), torch.rand(6, 1, 12, 8)
    with torch.no_grad():
        quiet = model(real, seed=0, steep=6)
    assert not quiet.steepness.requires_grad
    torch.testing.assert_close(quiet.steepness, model(real, seed=0, steep=6).steepness)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_shape": (1, 10, 12)}, r"GANConfig.image_shape: expected height and width that are multiples of 4"),
        ({"channels": ()}, "GANConfig.channels: expected at least one"),
        ({"latent": 0}, "GANConfig.latent"),
    ],
)
def test_sizes_that_do_not_fit(fields, message):
    with pytest.raises(ValueError, match=message):
        GANConfig(**fields)


def test_arguments_that_do_not_fit():
    model = GAN(SMALL)
    with pytest.raises(ValueError, match="z: expected shape"):
        model.draw(torch.randn(2, 6))
    with pytest.raises(ValueError, match="images: expected shape"):
        model.judge(torch.rand(2, 1, 8, 12))
