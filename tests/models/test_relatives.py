"""Encoders of other kinds, models that are told a class, and images with noise."""

import pytest
import torch

from latentcore.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig, load_autoencoder, load_vae, save_vae
from latentcore.models.attention import PatchAttention
from latentcore.models.residual import Refine

KINDS = {
    "residual": {"encoder": "residual", "channels": (6, 8), "hidden": (16,), "decoder_hidden": (16,)},
    "deep": {"encoder": "residual", "channels": (4, 4, 4), "blocks": 2, "image_shape": (3, 16, 24), "hidden": ()},
    "attention": {"encoder": "attention", "channels": (16, 16), "hidden": (), "decoder_hidden": (16,)},
    "patches": {"encoder": "attention", "channels": (8,), "heads": 2, "patch": 4, "image_shape": (3, 8, 12)},
    "classes": {"classes": 4, "hidden": (16,), "decoder_hidden": (16,)},
    "conv-classes": {"classes": 4, "encoder": "conv", "channels": (4, 8), "latent": 5},
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
        ({"encoder": "residual", "channels": (4, 4, 4)}, "multiples of 8, one halving"),
        ({"encoder": "attention", "channels": (16,), "patch": 5}, "multiples of the patches' 5"),
        ({"encoder": "attention", "channels": (16, 8)}, "the same multiple of 4 heads for each layer"),
        ({"encoder": "attention", "channels": (18,)}, "the same multiple of 4 heads for each layer"),
        ({"encoder": "attention", "channels": ()}, "channels: expected at least one"),
        ({"noise": -1.0}, "VAEConfig.noise: expected a number in"),
        ({"classes": -1}, "VAEConfig.classes: expected a number in"),
    ],
)
def test_sizes_that_do_not_fit_are_errors(fields, message):
    with pytest.raises(ValueError, match=message):
        VAEConfig(**fields)


def test_a_model_of_classes_wants_labels_and_no_other_does():
    plain, told = VAE(VAEConfig(hidden=(8,))), VAE(VAEConfig(hidden=(8,), classes=3))
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
    model = VAE(VAEConfig(hidden=(8,), decoder_hidden=(8,), classes=3)).eval()
    images, z = torch.rand(1, 1, 28, 28), torch.zeros(1, 2)
    zero, one = torch.tensor([0]), torch.tensor([1])
    assert not torch.equal(model.encode(images, zero)[0], model.encode(images, one)[0])
    assert not torch.equal(model.decode(z, zero), model.decode(z, one))


def test_noise_is_added_while_training_alone():
    config = AutoencoderConfig(hidden=(8,), decoder_hidden=(8,), noise=0.3)
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
