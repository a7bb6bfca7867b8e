from dataclasses import replace

import pytest
import torch

from latentcore import ops
from latentcore.models import VAE, Autoencoder, AutoencoderConfig, ConvConfig, MLPConfig, VAEConfig
from latentcore.testing import assert_near

MLP = {"latent": 3, "network": MLPConfig(hidden=(16, 8), decoder_hidden=(8,))}
CONV = {"latent": 5, "network": ConvConfig(channels=(4, 8), hidden=(16,), decoder_hidden=(16,))}
CONFIGS = [
    MLP,
    MLP | {"network": replace(MLP["network"], normalisation="batch", activation="silu")},
    MLP | {"network": MLPConfig(hidden=(), decoder_hidden=())},
    MLP | {"image_shape": (3, 5, 7)},
    CONV,
    CONV | {"image_shape": (3, 8, 12), "network": replace(CONV["network"], normalisation="batch")},
]


@pytest.mark.parametrize("fields", CONFIGS)
def test_shapes_of_a_vae(fields):
    config = VAEConfig(**fields)
    model = VAE(config)
    images = torch.rand(6, *config.image_shape)
    out = model(images, seed=0)
    assert out.logits.shape == images.shape
    assert out.mu.shape == out.logvar.shape == out.z.shape == (6, config.latent)
    decoded = model.decode(out.z)
    assert decoded.shape == images.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1


@pytest.mark.parametrize("fields", CONFIGS)
def test_shapes_of_an_autoencoder(fields):
    config = AutoencoderConfig(**fields)
    out = Autoencoder(config)(torch.rand(6, *config.image_shape))
    assert out.logits.shape == (6, *config.image_shape)
    assert out.z.shape == (6, config.latent)


def test_the_convolutional_network_has_the_published_layers():
    model = VAE(VAEConfig(latent=32, network=ConvConfig(hidden=(256,), decoder_hidden=(256,))))
    assert [tuple(weight.shape) for weight in model.parameters() if weight.dim() > 1] == [
        (32, 1, 3, 3),
        (64, 32, 3, 3),
        (256, 3136),
        (64, 256),
        (256, 32),
        (3136, 256),
        (64, 32, 3, 3),
        (32, 1, 3, 3),
    ]


@torch.no_grad()
def test_the_sample_is_that_of_the_operator():
    model = VAE(VAEConfig(**MLP))
    out = model(torch.rand(4, 1, 28, 28), seed=7)
    assert_near(out.z, ops.reparameterize_kl(out.mu, out.logvar, seed=7)[0])
    assert_near(out.logits, model.decode_logits(out.z))


def test_logvar_is_bounded():
    model = VAE(VAEConfig(**MLP))
    with torch.no_grad():
        model.encoder[-1].bias.fill_(1e4)
        assert model.encode(torch.rand(2, 1, 28, 28))[1].max() == 8
        model.encoder[-1].bias.fill_(-1e4)
        assert model.encode(torch.rand(2, 1, 28, 28))[1].min() == -12


def test_decoder_bias_std_spreads_the_biases_of_the_normalisation():
    spread = VAE(
        VAEConfig(network=MLPConfig(decoder_hidden=(400,), hidden=(8,), normalisation="batch", decoder_bias_std=1.0))
    )
    assert spread.decoder[1].bias.detach().std() == pytest.approx(1, abs=0.15)
    assert spread.encoder[2].bias.abs().max() == 0


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), TypeError, "images: expected float32"),
        (torch.zeros(2, 1, 27, 28), ValueError, r"images: expected shape \(N, 1, 28, 28\)"),
        (None, TypeError, "images: expected a torch.Tensor"),
    ],
)
def test_wrong_images(images, error, message):
    with pytest.raises(error, match=message):
        VAE(VAEConfig(**MLP)).encode(images)


def test_wrong_latents():
    with pytest.raises(ValueError, match=r"z: expected shape \(N, 3\)"):
        VAE(VAEConfig(**MLP)).decode(torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"latent": 0}, ValueError, "latent: expected a number in"),
        ({"network": {"decoder_bias_std": 1.0}}, ValueError, "decoder_bias_std: expected 0 without normalisation"),
        ({"latent": 2.0}, TypeError, "latent: expected an int, got float"),
        ({"network": {"hidden": (16, 0)}}, ValueError, r"MLPConfig\.hidden: expected a number in"),
        ({"network": {"activation": "relux"}}, ValueError, r"VAEConfig\.network\.activation: expected one of"),
        (
            {"network": {"channels": [8]}},
            ValueError,
            r"network\.channels: expected a field among kind, hidden",
        ),
        (
            {"network": "convolutions"},
            ValueError,
            r"network\.kind: expected one of mlp, conv, residual, attention,",
        ),
        ({"network": ["mlp"]}, TypeError, "network: expected a mapping"),
        ({"prior": {"kind": "mixtur"}}, ValueError, r"prior\.kind: .* got 'mixtur'; did you mean mixture\?"),
        ({"prior": {"kind": "mixture", "components": 0}}, ValueError, "MixturePriorConfig.components: expected"),
        ({"likelihood": None}, TypeError, "likelihood: expected a mapping"),
        ({"image_shape": (28, 28)}, ValueError, "image_shape: expected 3 entries"),
        ({"image_shape": (1, 30, 28), "network": ConvConfig()}, ValueError, "multiples of 4"),
    ],
)
def test_wrong_configurations(fields, error, message):
    with pytest.raises(error, match=message):
        VAEConfig(**fields)
