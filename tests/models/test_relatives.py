"""Encoders of other kinds, models that are told a class, and images with noise."""

import pytest
import torch

from latentcore.models import (
    VAE,
    AttentionConfig,
    Autoencoder,
    AutoencoderConfig,
    ConvConfig,
    MLPConfig,
    ResidualConfig,
    VAEConfig,
    load_autoencoder,
    load_vae,
    save_vae,
)
from latentcore.models.attention import PatchAttention
from latentcore.models.residual import Refine

KINDS = {
    "residual": {"network": ResidualConfig(channels=(6, 8), hidden=(16,), decoder_hidden=(16,))},
    "deep": {"image_shape": (3, 16, 24), "network": ResidualConfig(channels=(4, 4, 4), blocks=2, hidden=())},
    "attention": {"network": AttentionConfig(width=16, layers=2, hidden=(), decoder_hidden=(16,))},
    "patches": {"image_shape": (3, 8, 12), "network": AttentionConfig(width=8, layers=1, heads=2, patch=4)},
    "classes": {"classes": 4, "network": MLPConfig(hidden=(16,), decoder_hidden=(16,))},
    "conv-classes": {"classes": 4, "latent": 5, "network": ConvConfig(channels=(4, 8))},
}


def inputs(config, count=5):
    torch.manual_seed(1)
    labels = torch.arange(count) % config.classes if config.classes else None
    return torch.rand(count, *config.image_shape), labels


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("kind", "config_kind"), [(VAE, VAEConfig), (Autoencoder, AutoencoderConfig)])
def test_shapes_gradients_and_files(tmp_path, name, kind, config_kind):
    config = config_kind(**KINDS[name])
    model = kind(config)
    images, labels = inputs(config)
    out = model(images, labels)
    assert out.logits.shape == images.shape
    out.logits.sum().backward()
    missing = [key for key, p in model.named_parameters() if p.grad is None]
    assert all("logvar" in key for key in missing)
    save_vae(model, tmp_path / "model.pth")
    again = (load_vae if kind is VAE else load_autoencoder)(tmp_path / "model.pth")
    assert again.config == config
    model.eval()
    first, second = (m.decode(torch.ones(5, config.latent), labels) for m in (model, again))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": ResidualConfig(channels=(4, 4, 4))}, "multiples of 8, one halving"),
        ({"network": {"kind": "attention", "patch": 5}}, "multiples of the patches' 5"),
        ({"network": {"kind": "attention", "width": 18}}, "AttentionConfig.width: expected a multiple of the 4 heads"),
        ({"network": {"kind": "attention", "layers": 0}}, "AttentionConfig.layers: expected a number in"),
        ({"network": {"kind": "conv", "channels": ()}}, "ConvConfig.channels: expected at least one"),
        ({"noise": -1.0}, "VAEConfig.noise: expected a number in"),
        ({"classes": -1}, "VAEConfig.classes: expected a number in"),
    ],
)
def test_sizes_that_do_not_fit_are_errors(fields, message):
    with pytest.raises(ValueError, match=message):
        VAEConfig(**fields)


def test_a_model_of_classes_wants_labels_and_no_other_does():
    plain, told = (VAE(VAEConfig(classes=classes, network=MLPConfig(hidden=(8,)))) for classes in (0, 3))
    images, z = torch.rand(2, 1, 28, 28), torch.zeros(2, 2)
    for call in (lambda m, labels: m.encode(images, labels), lambda m, labels: m.decode(z, labels)):
        with pytest.raises(ValueError, match="labels: expected none: the model knows no classes"):
            call(plain, torch.tensor([0, 1]))
        with pytest.raises(ValueError, match="labels: expected one for each of 2 images, got none"):
            call(told, None)
        with pytest.raises(ValueError, match=r"labels: expected shape \(2,\)"):
            call(told, torch.tensor([0, 1, 2]))
        with pytest.raises(TypeError, match="labels: expected int64"):
            call(told, torch.tensor([0.0, 1.0]))


def test_the_class_changes_what_is_encoded_and_drawn():
    model = VAE(VAEConfig(classes=3, network=MLPConfig(hidden=(8,), decoder_hidden=(8,)))).eval()
    images, z = torch.rand(1, 1, 28, 28), torch.zeros(1, 2)
    zero, one = torch.tensor([0]), torch.tensor([1])
    assert not torch.equal(model.encode(images, zero)[0], model.encode(images, one)[0])
    assert not torch.equal(model.decode(z, zero), model.decode(z, one))


def test_noise_is_added_while_training_alone():
    config = AutoencoderConfig(noise=0.3, network=MLPConfig(hidden=(8,), decoder_hidden=(8,)))
    model, images = Autoencoder(config), torch.rand(6, 1, 28, 28)
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.train()(images)
    model.eval()(images)
    noisy, plain = seen
    assert torch.equal(plain, images)
    assert float((noisy - images).std()) > 0.1
    assert float(noisy.min()) >= 0
    assert float(noisy.max()) <= 1


def test_a_new_residual_block_changes_nothing():
    maps = torch.randn(2, 4, 5, 5)
    block = Refine(4, torch.nn.SiLU).eval()
    torch.nn.init.zeros_(block.body[-1].bias)
    assert torch.equal(block(maps), maps)


def test_patches_see_all_of_the_image():
    model = PatchAttention((1, 8, 8), patch=4, width=8, layers=2, heads=2).eval()
    image = torch.rand(1, 1, 8, 8, requires_grad=True)
    assert model(image).shape == (1, 8)
    model(image)[0, 0].backward()
    assert bool((image.grad.abs() > 0).all())
