import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.nn.modules.module import register_module_forward_hook

import latentcore
from latentcore.models import ResNet15, ResNetConfig
from latentcore.systems.classifier.config import PRESETS, ClassifierConfig
from latentcore.training import Augmentation, TrainConfig
from latentcore.training.processes import precision_of

CONFIG = ClassifierConfig(
    resnet=ResNetConfig(image_shape=(1, 12, 12), classes=3, width=1 / 16, dropout=0.1),
    train=TrainConfig(
        epochs=4,
        batch_size=50,
        learning_rate=1e-2,
        schedule="one-cycle",
        augmentation=Augmentation(translate=1, zero_from=0.9, full_until=0.2),
        device="cpu",
    ),
)


@pytest.fixture
def labels():
    return torch.arange(300) % 3


def train(folder, images, labels, **changes):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, **changes))
    return latentcore.train("classifier", images, labels=labels, config=config, run_dir=folder)


def test_it_learns_and_loads_again(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels, epochs=8)
    found = run.classify(images)
    assert (found == labels).float().mean() > 0.95
    assert found.dtype == torch.int64
    proba = run.predict_proba(images)
    assert proba.shape == (300, 3)
    assert torch.equal(proba.argmax(1), found)
    torch.testing.assert_close(proba.sum(1), torch.ones(300))
    loaded = latentcore.load_run(run.folder)
    for same in (images.numpy(), images[:, None], images / 255, (images / 255).double().numpy()):
        torch.testing.assert_close(loaded.predict_proba(same), proba, rtol=1e-4, atol=1e-6)
    assert torch.equal(loaded.predict_proba(images), proba)
    torch.testing.assert_close(loaded.predict_proba(images[7:8]), proba[7:8], rtol=1e-4, atol=1e-5)


def test_the_folder_holds_what_was_promised(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels, epochs=2)
    for name in ("config.json", "metrics.csv", "metrics.json", "checkpoints/last.pth", "checkpoints/model.pth"):
        assert (run.folder / name).is_file()
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "seconds", "images_per_second"]
    assert 0 <= float(rows[0]["accuracy"]) < float(rows[1]["accuracy"]) <= 1
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert run.metrics["accuracy"] == float(rows[1]["accuracy"])
    assert run.metrics["parameters"] == sum(p.numel() for p in run.model.parameters())
    plain = json.loads((run.folder / "config.json").read_text())
    assert plain.pop("system") == "classifier"
    assert len(plain.pop("data")) == 64
    assert plain.pop("format") == 3
    assert plain.pop("source") == {"image_shape": [1, 12, 12]}
    assert ClassifierConfig.from_dict(plain) == dataclasses.replace(
        CONFIG, train=dataclasses.replace(CONFIG.train, epochs=2)
    )


@pytest.mark.parametrize("passes", [3, 15])
def test_a_resumed_run_ends_bitwise_like_an_undisturbed_one(tmp_path, images, labels, passes):
    left = passes

    def interrupt(module, inputs, outputs):
        nonlocal left
        left -= isinstance(module, ResNet15)
        if not left:
            raise KeyboardInterrupt

    handle = register_module_forward_hook(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt, match="before the first" if passes < 6 else "--resume"):
            train(tmp_path / "run", images, labels)
    finally:
        handle.remove()
    one = latentcore.resume(tmp_path / "run", images, labels=labels)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    two = train(tmp_path / "other", images, labels)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, two.model.state_dict()[name]), name
    assert torch.equal(one.predict_proba(images), two.predict_proba(images))
    other = train(tmp_path / "seed", images, labels, seed=1)
    assert not torch.equal(other.predict_proba(images), two.predict_proba(images))


def test_other_data_on_resuming(tmp_path, images, labels):
    train(tmp_path / "run", images, labels, epochs=1)
    for others, theirs in ((images.flip(0), labels), (images, labels.flip(0)), (images[:299], labels[:299])):
        with pytest.raises(ValueError, match=r"data: expected the data with which .* began"):
            latentcore.resume(tmp_path / "run", others, labels=theirs)
    with pytest.raises(ValueError, match="run_dir: expected a folder without a run"):
        train(tmp_path / "run", images, labels)


def test_labels_are_asked_for(tmp_path, images, labels):
    with pytest.raises(ValueError, match="labels: expected one of 3 classes for each image, got none"):
        latentcore.train("classifier", images, config=CONFIG, run_dir=tmp_path / "run")
    words = {"labels": labels, "validation": images[:30], "config": CONFIG}
    with pytest.raises(ValueError, match="labels of validation: expected one of 3 classes for each image, got none"):
        latentcore.train("classifier", images, run_dir=tmp_path / "run", **words)
    assert not (tmp_path / "run").exists()


def test_a_share_is_kept_back_to_choose_weights_by(tmp_path, images, labels):
    run = train(tmp_path / "run", images, labels, validation=0.2)
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert 0 <= float(rows[-1]["validation_accuracy"]) <= 1
    given = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, early_stop=3))
    words = {"labels": labels, "validation": (images[:30], labels[:30]), "config": given}
    assert latentcore.train("classifier", images, run_dir=tmp_path / "other", **words).metrics["accuracy"] > 0.4


@pytest.mark.parametrize("name", PRESETS)
def test_presets_travel_through_json_and_take_other_sizes(name):
    config = PRESETS[name]
    assert ClassifierConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.for_shape((3, 8, 12)).resnet.image_shape == (3, 8, 12)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda x, y: (x, y + 1), ValueError, r"labels: expected whole numbers in \[0, 3\), got 1 to 3"),
        (lambda x, y: (x, y - 1), ValueError, r"labels: expected whole numbers in \[0, 3\), got -1 to 1"),
        (lambda x, y: (x, y.float()), TypeError, "labels: expected whole numbers, got torch.float32"),
        (lambda x, y: (x, y.bool()), TypeError, "labels: expected whole numbers, got torch.bool"),
        (lambda x, y: (x, y[:9]), ValueError, r"labels: expected shape \(300,\), got \(9,\)"),
        (lambda x, y: (x, y.tolist()), TypeError, "labels: expected a NumPy array or a torch.Tensor, got list"),
        (lambda x, y: (x[:, :5], y), ValueError, r"images: expected shape \(N, 12, 12\)"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "images: expected at least one image"),
        (lambda x, y: (x / 255 * float("nan"), y), ValueError, "images: expected values in .* nan"),
        (lambda x, y: (x / 1.0, y), ValueError, r"images: expected values in \[0, 1\]"),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, images, labels, spoil, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path / "run", *spoil(images, labels))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    images = np.random.default_rng(0).integers(0, 256, (50, 12, 12), dtype=np.uint8)
    return train(tmp_path_factory.mktemp("run"), images, np.arange(50, dtype=np.uint8) % 3, epochs=1)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 28, 28)), ValueError, r"images: expected shape \(N, 12, 12\)"),
        (np.zeros((2, 3, 12, 12)), ValueError, r"images: expected shape \(N, 12, 12\)"),
        (np.zeros((0, 12, 12)), ValueError, "at least one image"),
        (np.full((2, 12, 12), np.nan), ValueError, "nan"),
        (np.full((2, 12, 12), 255.0), ValueError, r"\[0, 1\]"),
        (np.zeros((2, 12, 12), dtype=int), TypeError, "uint8"),
    ],
)
@pytest.mark.parametrize("call", ["classify", "predict_proba"])
def test_bad_images(run, call, images, error, message):
    with pytest.raises(error, match=message):
        getattr(run, call)(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resnet": None}, "resnet: expected a mapping"),
        ({"resnet": {"classes": 0}}, "classes: expected a number in"),
        ({"resnet": {"wide": 2}}, r"resnet\.wide: expected a field among"),
        ({"resnet": {"image_shape": [1, 12, 12]}}, r"model\.pth: expected a state dict of the configured ResNet15"),
        ({"system": "nonsense"}, r"config\.json: system: expected one of"),
        ({"system": "gan"}, r"config\.json\.resnet: expected a field among"),
        ({"system": "vae"}, r"config\.json\.resnet: expected a field among"),
    ],
)
def test_damaged_configurations(run, tmp_path, change, message):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model.pth").write_bytes((run.folder / "checkpoints" / "model.pth").read_bytes())
    for content in (run.about, run.about | change):
        (tmp_path / "config.json").write_text(json.dumps(content))
        if content is run.about:
            latentcore.load_run(tmp_path)
    with pytest.raises((ValueError, TypeError), match=message):
        latentcore.load_run(tmp_path)


@pytest.mark.parametrize("precision", ["auto", "32-true", "bf16-mixed"])
def test_precisions(tmp_path, images, labels, precision):
    word = precision_of(dataclasses.replace(CONFIG.train, precision=precision))
    assert word == precision or (precision == "auto" and word in ("32-true", "bf16-mixed"))
    Fabric(accelerator="cpu", devices=1, precision=word)
    run = train(tmp_path / "run", images, labels, precision=precision, channels_last=True)
    assert (run.classify(images) == labels).float().mean() > 0.6
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
