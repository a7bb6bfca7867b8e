"""The few-label system: its VAE and mixture, its classes, its runs."""

import csv
import dataclasses
import json

import pytest
import torch

import latentcore
from latentcore.data import ImageSet
from latentcore.mixture import GaussianMixture, save_mixture
from latentcore.models import MLPConfig, VAEConfig, load_vae
from latentcore.systems.few_label import SYSTEM
from latentcore.systems.few_label.config import PRESETS, FewLabelConfig, MixtureConfig
from latentcore.systems.few_label.mixture import mixture_path, plain_mixture
from latentcore.training import TrainConfig

CONFIG = FewLabelConfig(
    vae=VAEConfig(
        image_shape=(1, 12, 12), network=MLPConfig(hidden=(32,), decoder_hidden=(32,), normalisation="batch")
    ),
    train=TrainConfig(epochs=12, batch_size=32, learning_rate=1e-2, beta=0.2, device="cpu"),
    mixture=MixtureConfig(components=6, restarts=3, subsample=100),
)


def train(folder, images, labels, config=CONFIG):
    few = (images[:15], labels[:15])
    return latentcore.train("few-label", images, labelled=few, config=config, run_dir=folder)


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
    assert plain.pop("format") == 3
    assert plain.pop("source") == {"image_shape": [1, 12, 12]}
    assert FewLabelConfig.from_dict(plain) == dataclasses.replace(CONFIG, classes=(1, 4, 8))  # those of the labels
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
    resumed = latentcore.resume(run.folder, images, labelled=(images[:15], labels[:15]))
    with (run.folder / "metrics.csv").open() as file:
        assert resumed.metrics["seconds"] > sum(float(row["seconds"]) for row in csv.DictReader(file))
    assert torch.equal(resumed.predict_proba(images), run.predict_proba(images))


def test_the_plain_recipe(tmp_path, images, labels):
    plain = dataclasses.replace(CONFIG, mixture=MixtureConfig(start="class-means"))
    run = train(tmp_path / "run", images, labels, plain)
    assert len(run.mixture.means_) == 3
    again = plain_mixture(run, images, ImageSet(images[:15, None], labels[:15]))
    assert torch.equal(torch.as_tensor(again.predict_label(run.encode(images))), run.classify(images))


def test_a_mixture_of_another_model(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels)
    save_mixture(mixture_path(run.folder), GaussianMixture(2, random_state=0).fit(torch.randn(50, 5)))
    with pytest.raises(ValueError, match=r"mixture\.pth: expected a mixture in the 2 latent axes"):
        latentcore.load_run(run.folder)
    mixture_path(run.folder).write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"mixture\.pth"):
        latentcore.load_run(run.folder)


def test_labels_are_drawn_from_the_images_of_its_classes(tmp_path, images, labels):
    config = dataclasses.replace(CONFIG, classes=(1, 8), labels_per_class=4)
    run = latentcore.train("few-label", images, labels=labels, config=config, run_dir=tmp_path / "run")
    assert run.mixture.classes_.tolist() == [1, 8]
    some = ImageSet(images[:, None], labels).select((1, 8))
    few = some.draw(4, seed=0)
    words = {"labelled": (few.images, few.labels), "config": dataclasses.replace(config, classes=())}
    same = latentcore.train("few-label", some.images, run_dir=tmp_path / "same", **words)
    assert torch.equal(same.predict_proba(images), run.predict_proba(images))
    assert same.about["data"] == run.about["data"]
    with pytest.raises(ValueError, match="data: expected the data with which"):
        latentcore.resume(run.folder, images, labels=labels.roll(1))


def test_a_share_is_kept_back_to_choose_weights_by(tmp_path, images, labels):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, validation=0.1))
    run = train(tmp_path / "run", images, labels, config)
    assert "validation_loss" in (run.folder / "metrics.csv").read_text().splitlines()[0]
    assert (run.classify(images) == labels).float().mean() > 0.9


@pytest.mark.parametrize("name", PRESETS)
def test_presets_travel_through_json(name):
    config = PRESETS[name]
    assert FewLabelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x, (x[:15], y[:14])), r"labels of labelled: expected shape \(15,\)"),
        (lambda x, y: (x, (x[:15], y[:15] - 8)), "labels: expected whole numbers >= 0"),
        (lambda x, y: (x, (x[:15], y[:15].float())), "labels of labelled: expected whole numbers"),
        (lambda x, y: (x, (x[:0], y[:0])), "labelled: expected at least one image"),
        (lambda x, y: (x, (x[:15, :5], y[:15])), r"labelled: expected shape \(N, 12, 12\)"),
        (lambda x, y: (x, x[:15]), "labels: expected a label for every image, got none"),
        (lambda x, y: (x, None), "labelled: expected images with their labels, or labels of the images"),
        (lambda x, y: ((x, y), None), r"per_class: expected an int in \[1, 100\], got 200"),
        (lambda x, y: (x[:5], (x[:15], y[:15])), "images: expected at least 6"),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, images, labels, spoil, message):
    given, labelled = spoil(images, labels)
    config = dataclasses.replace(CONFIG, labels_per_class=200)
    with pytest.raises((ValueError, TypeError), match=message):
        latentcore.train("few-label", given, labelled=labelled, config=config, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": (1, 1)}, r"FewLabelConfig\.classes: expected different classes, got \(1, 1\)"),
        ({"classes": (-1, 1)}, r"FewLabelConfig\.classes: expected a number in"),
        ({"labels_per_class": 0}, r"FewLabelConfig\.labels_per_class: expected a number in"),
    ],
)
def test_what_is_learned_is_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


def test_an_old_run_has_its_classes_with_its_source():
    old = {"system": "few-label", "vae": CONFIG.vae.__dict__, "data": "0", "source": {"classes": [3, 5]}}
    assert SYSTEM.read(old, "old").classes == (3, 5)
    assert SYSTEM.read(old | {"source": {}}, "old").classes == ()
    with pytest.raises(TypeError, match=r"old\.classes: expected a list, got int"):
        SYSTEM.read(old | {"source": {"classes": 3}}, "old")
