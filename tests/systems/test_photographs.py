"""Training of VAEs of photographs, and their runs."""

import json
import sys
import types
from dataclasses import replace

import pytest
import torch
from torch import nn

from latentcore import load_run, metrics, resume, train
from latentcore.data import ImageFolder
from latentcore.models import SharpConfig, SharpVAE
from latentcore.plots import save_image
from latentcore.systems.photographs import perceptual, training
from latentcore.systems.photographs.config import PRESETS, PerceptualConfig, PhotographsConfig
from latentcore.systems.photographs.perceptual import PerceptualELBO, chosen_kind, difference_of, dissimilarity
from latentcore.training import Augmentation, TrainConfig

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
    run = train("photographs", photographs, config=longer, run_dir=tmp_path / "run")
    drawn, axes = run.reconstruct(photographs), run.principal(photographs)
    assert metrics.mse(photographs / 255, drawn).mean() < 0.6 * metrics.mse(photographs / 255, axes).mean()
    again = load_run(tmp_path / "run")
    assert torch.equal(again.reconstruct(photographs), drawn)
    assert torch.equal(again.principal(photographs), axes)
    assert again.config == longer
    assert {"seconds", "parameters", "images_per_second", "loss", "reconstruction", "kl"} <= run.metrics.keys()
    assert len(list((tmp_path / "run/pictures/epochs").iterdir())) == 20


@pytest.mark.parametrize("kind", ["none", "ms-ssim"])
def test_a_resumed_run_ends_bitwise_like_an_undisturbed_one(tmp_path, photographs, monkeypatch, kind):
    config = replace(CONFIG, perceptual=PerceptualConfig(kind, 5.0))
    whole = train("photographs", photographs, config=config, run_dir=tmp_path / "whole")

    def stop_at_two(write):
        def write_or_stop(epochs):
            if epochs == 2:
                raise KeyboardInterrupt
            write(epochs)

        return write_or_stop

    pictures = training.pictures_of_epochs
    monkeypatch.setattr(training, "pictures_of_epochs", lambda *words: stop_at_two(pictures(*words)))
    with pytest.raises(KeyboardInterrupt, match=r"the last checkpoint is whole, and `--resume .*` goes on"):
        train("photographs", photographs, config=config, run_dir=tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setattr(training, "principal_axes", None)  # they are in the checkpoint
    resumed = resume(tmp_path / "cut", photographs)
    for name, value in whole.model.state_dict().items():
        assert name.endswith("_extra_state") or torch.equal(resumed.model.state_dict()[name], value), name
    with pytest.raises(ValueError, match="data: expected the data with which"):
        resume(tmp_path / "cut", photographs.flip(0))
    with pytest.raises(ValueError, match=r"DATA: expected the folders of photographs of .*, got none"):
        resume(tmp_path / "cut")  # arrays lie nowhere


def test_a_folder_is_as_good_as_its_images(tmp_path, photographs):
    for number, image in enumerate(photographs[:40]):
        save_image(image / 255, tmp_path / f"in/{number:02}.png")
    folder = ImageFolder(tmp_path / "in", (3, 16, 16), cache_dir=tmp_path / "cache")
    short = replace(CONFIG, train=replace(TRAIN, epochs=1))
    mapped = train("photographs", folder, config=short, run_dir=tmp_path / "mapped", validation=photographs[40:60])
    assert "validation_loss" in (tmp_path / "mapped/metrics.csv").read_text()
    plain = train("photographs", photographs[:40], config=short, run_dir=tmp_path / "plain", test=photographs[40:60])
    assert torch.equal(mapped.reconstruct(photographs), plain.reconstruct(photographs))
    assert mapped.about["data"] == plain.about["data"]


def test_folders_are_read_as_the_configuration_says(tmp_path, photographs):
    for number, image in enumerate(photographs[:40]):
        save_image(image / 255, tmp_path / f"in/{number:02}.png")
    short = replace(CONFIG, train=replace(TRAIN, epochs=1))
    run = train("photographs", tmp_path / "in", config=short, run_dir=tmp_path / "run")
    learned = torch.arange(40) % 10 != 5  # the others are held out
    plain = train("photographs", photographs[:40][learned], config=short, run_dir=tmp_path / "plain")
    assert run.about["data"] == plain.about["data"]
    assert len(json.loads((tmp_path / "run/held_out.json").read_text())["held_out"]) == 4
    others = {"validation": photographs[40:60], "test": ImageFolder(tmp_path / "in", (3, 16, 16))}
    judged = train("photographs", [tmp_path / "in"], config=short, run_dir=tmp_path / "judged", **others)
    assert judged.about["data"] == plain.about["data"]
    assert "validation_loss" in (tmp_path / "judged/metrics.csv").read_text()


def test_a_share_is_kept_back_to_choose_weights_by(tmp_path, photographs):
    chosen = replace(CONFIG, train=replace(TRAIN, epochs=2, validation=0.25, early_stop=1))
    run = train("photographs", photographs, config=chosen, run_dir=tmp_path / "run")
    assert "validation_loss" in (tmp_path / "run/metrics.csv").read_text()
    assert run.principal(photographs[:3]).shape == (3, 3, 16, 16)


def test_a_run_says_what_auto_was(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    undecided = replace(CONFIG, perceptual=PerceptualConfig("auto"), train=replace(TRAIN, epochs=1))
    run = train("photographs", photographs, config=undecided, run_dir=tmp_path / "run")
    assert json.loads((tmp_path / "run/config.json").read_text())["perceptual"]["kind"] == "ms-ssim"
    assert run.config.perceptual.kind == "ms-ssim"
    assert "perceptual" in run.metrics


def test_what_does_not_fit_is_one_message(tmp_path, photographs):
    with pytest.raises(ValueError, match=r"images: expected shape \(N, \(3, 16, 16\)\)"):
        train("photographs", photographs[:, :1], config=CONFIG, run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="images: expected at least 2, got 1"):
        train("photographs", photographs[:1], config=CONFIG, run_dir=tmp_path / "one")
    with pytest.raises(ValueError, match=r"SharpConfig\.image_shape: expected images of 1 channel or 3"):
        PhotographsConfig(vae=SharpConfig((2, 16, 16), 8, channels=(4, 8)))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"PerceptualConfig\.kind: expected one of"):
        PerceptualConfig("vgg")
    with pytest.raises(ValueError, match="'ms-ssim' for images of other than 3 channels, got 'vgg16'"):
        difference_of("vgg16", 1, torch.device("cpu"))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_models_and_travel_through_json(name):
    config = PRESETS[name]
    assert PhotographsConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.for_shape((1, 32, 48)).vae.image_shape == (1, 32, 48)


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
