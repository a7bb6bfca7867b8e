"""The VAE of photographs and the principal axes that it begins with."""

import pytest
import torch

from latentcore.models import SharpConfig, SharpVAE
from latentcore.plots import pca
from latentcore.systems.photographs.pca import principal_axes
from latentcore.testing import assert_near

SMALL = SharpConfig(image_shape=(3, 16, 16), latent=6, channels=(4, 8), refinements=1)


def photographs(count=200, seed=0):
    """Sums of a few pictures of different strength, and some noise; in [0.1, 0.9]."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(9)) - 0.5
    strength = torch.randn(count, 8, generator=generator) * torch.linspace(0.12, 0.02, 8)
    noise = 0.01 * torch.randn(count, 3, 16, 16, generator=generator)
    return (0.5 + torch.einsum("nk,kchw->nchw", strength, pictures) + noise).clamp(0.1, 0.9)


def test_axes_are_those_of_a_whole_decomposition():
    images = photographs()
    found = principal_axes(images, 5)
    coordinates, _, components = pca(images.flatten(1), 5)
    assert_near(found.mean, images.mean(0))
    assert_near(found.deviations, torch.from_numpy(coordinates.std(0)).float(), tolerance=1e-4)
    alike = (found.components.flatten(1) @ torch.from_numpy(components).float().T).abs()
    assert_near(alike, torch.eye(5), tolerance=1e-3)
    assert_near(found.channel_deviations, images.std((0, 2, 3), correction=0), tolerance=1e-3)


def test_axes_of_bytes_in_parts_are_the_same(monkeypatch):
    images = (255 * photographs(100)).byte()
    whole = principal_axes(images, 3)
    monkeypatch.setattr("latentcore.systems.photographs.pca._BATCH", 7)
    parts = principal_axes(images, 3)
    assert_near(parts.deviations, whole.deviations, tolerance=1e-4)
    assert_near(parts.components, whole.components, tolerance=1e-3)


def test_there_are_fewer_axes_than_images():
    found = principal_axes(photographs(4), 6)
    assert len(found.deviations) == 3
    model = SharpVAE(SMALL)
    model.start_from(found)
    assert torch.isfinite(model(photographs(4)).logits).all()
    with pytest.raises(ValueError, match="images: expected at least 2, got 1"):
        principal_axes(photographs(1), 2)


def test_images_that_are_all_the_same_have_no_axes():
    model = SharpVAE(SMALL)
    same = photographs(1).expand(5, -1, -1, -1)
    model.start_from(principal_axes(same, 3))
    assert_near(model.eval().decode(model.encode(same)[0]), same, tolerance=1e-4)


def test_a_channel_that_is_the_same_everywhere_is_not_scaled():
    images = torch.randint(0, 256, (300, 3, 8, 8), dtype=torch.uint8)
    images[:, 1:] = 153  # no sum of binary fractions
    deviations = principal_axes(images, 3).channel_deviations
    assert float(deviations[0]) == pytest.approx(float(images[:, 0].double().div(255).std()), rel=1e-3)
    assert deviations[1:].max() < 1e-6


def test_the_untrained_model_is_the_principal_axes():
    train, test = photographs(), photographs(20, seed=1)
    axes = principal_axes(train, 6)
    model = SharpVAE(SMALL).eval()
    model.start_from(axes)
    mu, logvar = model.encode(train)
    assert mu.mean(0).abs().max() < 1e-3
    assert_near(mu.std(0, correction=0), torch.ones(6), tolerance=1e-3)
    assert logvar.unique().tolist() == [-6]
    basis = axes.components.flatten(1)
    expected = axes.mean + ((test - axes.mean).flatten(1) @ basis.T @ basis).view_as(test)
    assert_near(model.project(test), expected)
    assert_near(model.decode(model.encode(test)[0]), expected)


def test_every_weight_learns():
    model = SharpVAE(SMALL)
    model.start_from(principal_axes(photographs(), 6))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    for _ in range(3):  # layers before one that begins at zero learn from the second step on
        optimizer.zero_grad()
        out = model(photographs(8), seed=0)
        (out.logits.square().mean() + out.mu.square().mean() + out.logvar.mean()).backward()
        optimizer.step()
    assert all(bool(parameter.grad.any()) for name, parameter in model.named_parameters() if "weight" in name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": (8,)}, r"SharpConfig.channels: expected at least two, got \(8,\)"),
        ({"refinements": -1}, "SharpConfig.refinements: expected a number in"),
        ({"image_shape": (3, 24, 24)}, "multiples of 16"),
    ],
)
def test_wrong_configurations(change, message):
    with pytest.raises(ValueError, match=message):
        SharpConfig(**change)


def test_too_many_axes():
    with pytest.raises(ValueError, match=r"axes: expected an int in \[0, 6\], got 7"):
        SharpVAE(SMALL).start_from(principal_axes(photographs(), 7))
