import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from latentcore.models import (
    VAE,
    AttentionConfig,
    Autoencoder,
    AutoencoderConfig,
    ConvConfig,
    GaussianConfig,
    MLPConfig,
    ResidualConfig,
    VAEConfig,
    load_autoencoder,
    load_vae,
    save_vae,
)
from latentcore.models.files import load_state

CONFIGS = [
    {"network": MLPConfig(hidden=(16, 8), decoder_hidden=(8,), activation="tanh")},
    {"image_shape": (3, 4, 8), "network": MLPConfig(hidden=(16,), decoder_hidden=(8, 4), normalisation="batch")},
    {"latent": 5, "network": ConvConfig(channels=(4, 8), hidden=(16,), decoder_hidden=(16,))},
]


@pytest.mark.parametrize("fields", CONFIGS)
def test_round_trip(tmp_path, fields):
    config = VAEConfig(**fields)
    model = VAE(config).eval()
    save_vae(model, tmp_path / "vae.pth")
    loaded = load_vae(tmp_path / "vae.pth")
    assert loaded.config == config
    images = torch.rand(4, *config.image_shape)
    assert torch.equal(model(images, seed=1).logits, loaded(images, seed=1).logits)
    assert not loaded.training


def test_round_trip_of_an_autoencoder(tmp_path):
    model = Autoencoder(AutoencoderConfig(**CONFIGS[0])).eval()
    save_vae(model, tmp_path / "ae.pth")
    images = torch.rand(4, 1, 28, 28)
    assert torch.equal(model.encode(images), load_autoencoder(tmp_path / "ae.pth").encode(images))


def test_tensors_alone_are_enough(tmp_path):
    model = VAE(VAEConfig(network=MLPConfig(hidden=(16, 8), decoder_hidden=(8,)))).eval()
    tensors = {name: value for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    torch.save(tensors, tmp_path / "vae.pth")
    assert load_vae(tmp_path / "vae.pth").config == model.config


def test_the_file_holds_a_plain_state_dict(tmp_path):
    model = VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,))))
    save_vae(model, tmp_path / "vae.pth")
    state = torch.load(tmp_path / "vae.pth", weights_only=True)
    assert torch.equal(state["encoder.1.weight"], model.encoder[1].weight)


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_code_is_never_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"encoder.0.weight": Hostile()}, "zip.pth")
    with Path("bare.pth").open("wb") as file:
        pickle.dump({"encoder.0.weight": Hostile()}, file)
    for name in ("zip.pth", "bare.pth"):
        with pytest.raises(ValueError, match=f"{name}: expected a whole file of tensors"):
            load_vae(name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_truncated_files(tmp_path, keep):
    path = tmp_path / "vae.pth"
    save_vae(VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(ValueError, match="expected a whole file of tensors"):
        load_vae(path)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"weight": torch.zeros(3, 3)},
        {"encoder.1.weight": torch.zeros(4, 784), "decoder.0.weight": torch.zeros(784, 7)},
        {"encoder.1.weight": 3, "decoder.0.weight": "words"},
        [torch.zeros(3)],
        torch.zeros(3),
    ],
)
def test_files_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"vae\.pth: expected"):
        load_vae(tmp_path / "vae.pth")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tmp_path, bad):
    state = VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))).state_dict()
    state["decoder.0.weight"][0, 0] = bad
    torch.save(state, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"vae\.pth: decoder\.0\.weight: expected finite numbers"):
        load_vae(tmp_path / "vae.pth")


@pytest.mark.parametrize(
    "other",
    [
        lambda weight: weight.to(torch.float8_e4m3fn),
        lambda weight: weight.to(torch.complex64),
        lambda weight: weight.to(torch.int16),
        lambda weight: weight.bool(),
        lambda weight: weight.to("meta"),
        lambda weight: weight.to_sparse(),
        lambda weight: weight[:0],
        lambda weight: weight[:1, :1].expand(10**6, 10**6),
    ],
)
def test_weights_of_another_kind(tmp_path, other):
    state = VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))).state_dict()
    state["decoder.0.weight"] = other(state["decoder.0.weight"])
    torch.save(state, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"vae\.pth"):
        load_vae(tmp_path / "vae.pth")


@pytest.mark.parametrize("width", [torch.float64, torch.float16])
def test_weights_of_another_width(tmp_path, width):
    model = VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,))))
    save_vae(model.to(width), tmp_path / "vae.pth")
    loaded = load_vae(tmp_path / "vae.pth")
    assert torch.equal(loaded.encoder[1].weight, model.encoder[1].weight.float())
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in loaded.parameters())


@pytest.mark.parametrize("value", [1e300, -1e39])
def test_weights_beyond_float32(tmp_path, value):
    model = VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))).double()
    torch.save(
        {**model.state_dict(), "decoder.0.bias": torch.full((8,), value, dtype=torch.float64)}, tmp_path / "vae.pth"
    )
    words = r"decoder\.0\.bias: expected numbers that torch\.float32 holds, got torch\.float64 up to 1e\+3"
    with pytest.raises(ValueError, match=rf"vae\.pth: expected .*{words}"):
        load_vae(tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=rf"a name: expected .*{words}"):
        load_state(VAE(model.config), torch.load(tmp_path / "vae.pth"), "a name")
    load_state(model, torch.load(tmp_path / "vae.pth"), "a name")  # of a training in float64
    assert model.decoder[0].bias[0] == value


def test_little_that_unpacks_to_much_is_refused(tmp_path):
    save_vae(VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))), tmp_path / "vae.pth")
    with zipfile.ZipFile(tmp_path / "vae.pth") as file, zipfile.ZipFile(tmp_path / "packed.pth", "w", 8) as packed:
        for entry in file.infolist():
            packed.writestr(entry.filename, file.read(entry))
    with pytest.raises(ValueError, match=r"packed\.pth: expected a whole file of tensors .*its entries are packed"):
        load_vae(tmp_path / "packed.pth")


def test_values_in_values_are_refused(tmp_path):
    laughs = [0]
    for _ in range(40):
        laughs = [laughs, laughs]
    torch.save({"a": laughs}, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"vae\.pth: .*more than 1,000,000 values"):
        load_vae(tmp_path / "vae.pth")


@pytest.mark.parametrize(
    "words",
    [
        {"network": {"hidden": [8] * 50_000}},
        {"network": {"hidden": [8] * 9_000}},
        {"network": {"hidden": [10**6] * 9}},
        {"hidden": [8] * 50_000},
        {"encoder": []},
        {"encoder": "attention", "channels": [[]]},
        {"network": {"kind": {}}},
        {"prior": {"kind": "mixture", "components": 10**12}},
        {"latent": 10**30},
        {3: 4},
        5,
        "x",
    ],
)
def test_words_that_no_tensor_bears_out_build_nothing(tmp_path, words):
    state = VAE(VAEConfig(network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))).state_dict()
    state["_extra_state"] = {"latent": 2, **words} if isinstance(words, dict) else words
    torch.save(state, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"vae\.pth: expected the state dict of a VAE"):
        load_vae(tmp_path / "vae.pth")


def test_a_model_in_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"vae\.pth: expected a regular file, got a pipe"):
        load_vae(tmp_path / "vae.pth")


def test_an_autoencoder_is_not_a_vae(tmp_path):
    save_vae(
        Autoencoder(AutoencoderConfig(latent=3, network=MLPConfig(hidden=(16,), decoder_hidden=(8,)))),
        tmp_path / "ae.pth",
    )
    with pytest.raises(ValueError, match="the state dict of a VAE"):
        load_vae(tmp_path / "ae.pth")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_vae(tmp_path / "vae.pth")


# what files said before networks had a section of their own, for models of classes and with convolutions all of it
FLAT = {
    "image_shape": [1, 28, 28], "latent": 2, "classes": 0, "encoder": "mlp", "hidden": [8], "decoder_hidden": [8],
    "channels": [32, 64], "blocks": 1, "patch": 7, "heads": 4, "activation": "relu", "normalisation": "none",
    "decoder_bias_std": 0.0, "likelihood": "bernoulli", "noise": 0.0,
}  # fmt: skip
SMALL = {"hidden": (8,), "decoder_hidden": (8,)}


@pytest.mark.parametrize(
    ("words", "config"),
    [
        ({"classes": 3}, VAEConfig(classes=3, network=MLPConfig(**SMALL))),
        ({"encoder": "residual", "channels": [4, 8]}, VAEConfig(network=ResidualConfig(channels=(4, 8), **SMALL))),
        (
            {"encoder": "attention", "channels": [16, 16, 16], "likelihood": "gaussian"},
            VAEConfig(likelihood=GaussianConfig(), network=AttentionConfig(width=16, layers=3, **SMALL)),
        ),
        ({"encoder": "conv", "classes": 2}, VAEConfig(classes=2, network=ConvConfig(**SMALL))),
    ],
)
def test_files_of_before_say_it_in_one_section(tmp_path, words, config):
    model = VAE(config)
    torch.save({**model.state_dict(), "_extra_state": {**FLAT, **words}}, tmp_path / "vae.pth")
    assert load_vae(tmp_path / "vae.pth").config == config
    load_state(VAE(config), torch.load(tmp_path / "vae.pth"), "a name")
    torch.save({**model.state_dict(), "_extra_state": {**FLAT, **words, "activation": "silu"}}, tmp_path / "vae.pth")
    with pytest.raises(ValueError, match=r"state dict: network\.activation: expected the model's, 'relu', got 'silu'"):
        load_state(VAE(config), torch.load(tmp_path / "vae.pth"), "a name")


def test_plain_networks_of_before_said_little(tmp_path):
    config = VAEConfig(network=MLPConfig(activation="tanh", **SMALL))
    words = {"image_shape": [1, 28, 28], "activation": "tanh", "likelihood": "bernoulli"}
    torch.save({**VAE(config).state_dict(), "_extra_state": words}, tmp_path / "vae.pth")
    assert load_vae(tmp_path / "vae.pth").config == config
    load_state(VAE(config), torch.load(tmp_path / "vae.pth"), "a name")
    other = VAE(VAEConfig(likelihood=GaussianConfig(), network=config.network))
    with pytest.raises(ValueError, match=r"state dict: likelihood\.kind: expected the model's, 'gaussian'"):
        load_state(other, torch.load(tmp_path / "vae.pth"), "a name")


def test_words_that_are_none(tmp_path):
    model = VAE(VAEConfig(network=MLPConfig(**SMALL)))
    for words in (5, [1], "latent"):
        with pytest.raises(ValueError, match=r"a name: .*_extra_state: expected a mapping"):
            load_state(model, {**model.state_dict(), "_extra_state": words}, "a name")
