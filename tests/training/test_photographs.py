"""Training of VAEs of photographs, and their runs."""

import json
import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from latentcore import metrics
from latentcore.data import ImageFolder
from latentcore.models import SharpConfig, SharpVAE
from latentcore.plots import save_image
from latentcore.training import Augmentation, TrainConfig, load_run, perceptual
from latentcore.training import photographs as system
from latentcore.training.perceptual import PerceptualConfig, PerceptualELBO, chosen_kind, difference_of, dissimilarity
from latentcore.training.photographs import PhotographsConfig, resume_photographs, train_photographs
from latentcore.training.presets import PHOTOGRAPHS

TRAIN = TrainConfig(
    epochs=3,
    batch_size=32,
    learning_rate=3e-3,
    schedule="one-cycle",
    gradient_clip=1.0,
    beta=0.01,
    augmentation=Augmentation(degrees=5.0, mirror="x"),
    reconstruct="augmented",
)
CONFIG = PhotographsConfig(
    vae=SharpConfig(image_shape=(3, 16, 16), latent=4, channels=(4, 8), refinements=1), train=TRAIN
)


@pytest.fixture(scope="module")
def photographs():
    """128 uint8 pictures (3, 16, 16): a bright square somewhere on a ground of some colour."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(40, 160, (128, 3, 1, 1), generator=generator).expand(-1, -1, 16, 16).contiguous()
    for image, (row, column) in zip(images, torch.randint(10, (128, 2), generator=generator).tolist(), strict=True):
        image[:, row : row + 6, column : column + 6] = 240
    return images.byte()


def test_it_learns_more_than_its_axes_and_its_run_says_the_same_again(tmp_path, photographs):
    longer = replace(CONFIG, train=replace(TRAIN, epochs=20, augmentation=Augmentation()))
    run = train_photographs(photographs, longer, tmp_path / "run")
    drawn, axes = run.reconstruct(photographs), run.principal(photographs)
    assert metrics.mse(photographs / 255, drawn).mean() < 0.6 * metrics.mse(photographs / 255, axes).mean()
    again = load_run(tmp_path / "run")
    assert torch.equal(again.reconstruct(photographs), drawn)
    assert torch.equal(again.principal(photographs), axes)
    assert again.settings == longer
    assert {"seconds", "parameters", "images_per_second", "loss", "reconstruction", "kl"} <= run.metrics.keys()
    assert len(list((tmp_path / "run/pictures/epochs").iterdir())) == 20


@pytest.mark.parametrize("kind", ["none", "ms-ssim"])
def test_a_resumed_run_ends_bitwise_like_an_undisturbed_one(tmp_path, photographs, monkeypatch, kind):
    config = replace(CONFIG, perceptual=PerceptualConfig(kind, 5.0))
    whole = train_photographs(photographs, config, tmp_path / "whole")

    def stop_at_two(write):
        def write_or_stop(epochs):
            if epochs == 2:
                raise KeyboardInterrupt
            write(epochs)

        return write_or_stop

    pictures = system.pictures_of_epochs
    monkeypatch.setattr(system, "pictures_of_epochs", lambda *words: stop_at_two(pictures(*words)))
    with pytest.raises(KeyboardInterrupt, match=r"the last checkpoint is whole, and `--resume .*` goes on"):
        train_photographs(photographs, config, tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setattr(system, "principal_axes", None)  # they are in the checkpoint
    resumed = resume_photographs(tmp_path / "cut", photographs)
    for name, value in whole.model.state_dict().items():
        assert name.endswith("_extra_state") or torch.equal(resumed.model.state_dict()[name], value), name
    with pytest.raises(ValueError, match="photographs: expected the data with which"):
        resume_photographs(tmp_path / "cut", photographs.flip(0))


def test_a_folder_is_as_good_as_its_images(tmp_path, photographs):
    for number, image in enumerate(photographs[:40]):
        save_image(image / 255, tmp_path / f"in/{number:02}.png")
    folder = ImageFolder(tmp_path / "in", (3, 16, 16), cache_dir=tmp_path / "cache")
    short = replace(CONFIG, train=replace(TRAIN, epochs=1))
    mapped = train_photographs(folder, short, tmp_path / "mapped", validation=photographs[40:60])
    assert "validation_loss" in (tmp_path / "mapped/metrics.csv").read_text()
    plain = train_photographs(photographs[:40], short, tmp_path / "plain", shown=photographs[40:60])
    assert torch.equal(mapped.reconstruct(photographs), plain.reconstruct(photographs))
    assert mapped.config["data"] == plain.config["data"]


def test_what_does_not_fit_is_one_message(tmp_path, photographs):
    with pytest.raises(ValueError, match=r"photographs: expected shape \(N, \(3, 16, 16\)\)"):
        train_photographs(photographs[:, :1], CONFIG, tmp_path / "run")
    with pytest.raises(ValueError, match="photographs: expected at least 2, got 1"):
        train_photographs(photographs[:1], CONFIG, tmp_path / "one")
    with pytest.raises(ValueError, match=r"SharpConfig\.image_shape: expected images of 1 channel or 3"):
        PhotographsConfig(vae=SharpConfig((2, 16, 16), 8, channels=(4, 8)))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"PerceptualConfig\.kind: expected one of"):
        PerceptualConfig("vgg")
    with pytest.raises(ValueError, match="'ms-ssim' for images of other than 3 channels, got 'vgg16'"):
        difference_of("vgg16", 1, torch.device("cpu"))


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_presets_are_models_and_travel_through_json(name):
    config = PHOTOGRAPHS[name]
    assert PhotographsConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_perceptual_term_is_added_by_its_weight(photographs):
    torch.manual_seed(0)
    model, batch = SharpVAE(CONFIG.vae), (photographs[:16] / 255, photographs[:16])
    loss, reconstruction, kl, apart = PerceptualELBO(dissimilarity, 7.0)(model, batch, beta=0.5, seed=0)
    assert loss.item() == pytest.approx((reconstruction + 0.5 * kl + 7 * apart).item(), rel=1e-5)
    assert 0 < apart.item() < 1
    loss.backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in model.parameters() if weight.grad is not None)
    same = photographs[:4] / 255
    assert dissimilarity(same, same).item() == pytest.approx(0, abs=1e-6)


def vgg16(weights):
    """A network of VGG16's layers, as torchvision would make it, with thin ones."""
    assert weights is None
    layers, before = [], 3
    for size, repeats in ((2, 2), (3, 2), (4, 3), (5, 3), (5, 3)):
        for _ in range(repeats):
            layers += [nn.Conv2d(before, size, 3, padding=1), nn.ReLU(inplace=True)]
            before = size
        layers.append(nn.MaxPool2d(2))
    network = nn.Module()
    network.features, network.classifier = nn.Sequential(*layers), nn.Linear(2, 2)
    return network


def test_features_of_a_network_on_the_disk(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"PerceptualConfig.kind: expected torchvision, and its weights in .*pth"):
        difference_of("vgg16", 3, torch.device("cpu"))
    assert chosen_kind(PerceptualConfig("auto"), 3) == "ms-ssim"
    for name in ("torchvision", "torchvision.models"):
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)
        module.vgg16 = vgg16
        monkeypatch.setitem(sys.modules, name, module)
    perceptual.weights_path().parent.mkdir()
    torch.manual_seed(0)
    torch.save(vgg16(None).state_dict(), perceptual.weights_path())
    assert chosen_kind(PerceptualConfig("auto"), 3) == "vgg16"
    assert chosen_kind(PerceptualConfig("auto"), 1) == "ms-ssim"
    difference = difference_of("vgg16", 3, torch.device("cpu"))
    a, b = (photographs[rows] / 255 for rows in (slice(0, 4), slice(4, 8)))
    assert difference(a, a) == 0
    a.requires_grad_()
    difference(a, b).backward()
    assert bool(a.grad.any())
    assert not any(weight.requires_grad for weight in difference.parameters())
    perceptual.weights_path().write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"vgg16-397923af\.pth: expected a whole file of tensors"):
        difference_of("vgg16", 3, torch.device("cpu"))
