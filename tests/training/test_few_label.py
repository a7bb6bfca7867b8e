import csv
import dataclasses
import json

import pytest
import torch

import latentcore
from latentcore.mixture import GaussianMixture, save_mixture
from latentcore.models import VAEConfig, load_vae
from latentcore.training import TrainConfig
from latentcore.training.few_label import (
    FewLabelConfig,
    MixtureConfig,
    mixture_path,
    plain_mixture,
    resume_few_label,
    train_few_label,
)
from latentcore.training.presets import FEW_LABEL

CONFIG = FewLabelConfig(
    vae=VAEConfig(image_shape=(1, 12, 12), hidden=(32,), decoder_hidden=(32,), normalisation="batch"),
    train=TrainConfig(epochs=12, batch_size=32, learning_rate=1e-2, beta=0.2, device="cpu"),
    mixture=MixtureConfig(components=6, restarts=3, subsample=100),
)


def train(folder, images, labels, config=CONFIG):
    return train_few_label(images, images[:15], labels[:15], config, folder)


def test_the_run_finds_the_classes_and_loads_again(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels)
    assert (run.classify(images) == labels).float().mean() > 0.95
    loaded = latentcore.load_run(tmp_path / "run")
    assert torch.equal(loaded.classify(images), run.classify(images))
    proba = loaded.predict_proba(images.numpy())
    assert proba.shape == (300, 3)
    assert torch.allclose(proba.sum(1), torch.ones(300), atol=1e-5)
    assert torch.equal(torch.as_tensor(loaded.mixture.classes_)[proba.argmax(1)], loaded.classify(images))


def test_the_folder_holds_what_was_promised(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels)
    files = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert {
        "config.json",
        "metrics.csv",
        "metrics.json",
        "checkpoints/last.pth",
        "checkpoints/model.pth",
        "checkpoints/mixture.pth",
    } <= files
    plain = json.loads((run.folder / "config.json").read_text())
    assert plain.pop("system") == "few-label"
    assert len(plain.pop("data")) == 64
    assert plain.pop("source") == {}
    assert FewLabelConfig.from_dict(plain) == CONFIG
    assert run.metrics["parameters"] == sum(p.numel() for p in run.model.parameters())
    assert load_vae(run.folder / "checkpoints" / "model.pth").config == CONFIG.vae


def test_the_seed_sets_everything_and_the_callers_random_state_stays(tmp_path, images, labels):
    torch.manual_seed(5)
    one = train(tmp_path / "one", images, labels)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    torch.manual_seed(6)
    two = train(tmp_path / "two", images, labels)
    assert torch.equal(one.predict_proba(images), two.predict_proba(images))
    seed1 = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, seed=1))
    assert not torch.equal(one.encode(images), train(tmp_path / "three", images, labels, seed1).encode(images))


def test_resuming_an_interrupted_run(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels)
    mixture_path(run.folder).unlink()
    resumed = resume_few_label(run.folder, images, images[:15], labels[:15])
    with (run.folder / "metrics.csv").open() as file:
        assert resumed.metrics["seconds"] > sum(float(row["seconds"]) for row in csv.DictReader(file))
    assert torch.equal(resumed.predict_proba(images), run.predict_proba(images))


def test_the_plain_recipe(tmp_path, images, labels):
    plain = dataclasses.replace(CONFIG, mixture=MixtureConfig(start="class-means"))
    run = train(tmp_path / "run", images, labels, plain)
    assert len(run.mixture.means_) == 3
    again = plain_mixture(run, images, images[:15], labels[:15])
    assert torch.equal(torch.as_tensor(again.predict_label(run.encode(images))), run.classify(images))


def test_a_mixture_of_another_model(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels)
    save_mixture(mixture_path(run.folder), GaussianMixture(2, random_state=0).fit(torch.randn(50, 5)))
    with pytest.raises(ValueError, match=r"mixture\.pth: expected a mixture in the 2 latent axes"):
        latentcore.load_run(run.folder)
    mixture_path(run.folder).write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"mixture\.pth"):
        latentcore.load_run(run.folder)


@pytest.mark.parametrize("name", sorted(FEW_LABEL))
def test_presets_travel_through_json(name):
    config = FEW_LABEL[name]
    assert FewLabelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x, x[:15], y[:14]), r"labels: expected shape \(15,\)"),
        (lambda x, y: (x, x[:15], y[:15] - 8), "labels: expected whole numbers >= 0"),
        (lambda x, y: (x, x[:15], y[:15].float()), "labels: expected whole numbers"),
        (lambda x, y: (x, x[:0], y[:0]), "labelled_images: expected at least one image"),
        (lambda x, y: (x[:5], x[:15], y[:15]), "train_images: expected at least 6"),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, images, labels, spoil, message):
    with pytest.raises((ValueError, TypeError), match=message):
        train_few_label(*spoil(images, labels), CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()
