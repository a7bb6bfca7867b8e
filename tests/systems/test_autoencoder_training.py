"""Training of autoencoders and VAEs, and their runs."""

import dataclasses
import json

import pytest
import torch

from latentcore import load_run, resume, train
from latentcore.models import AutoencoderConfig, GaussianConfig, MLPConfig, VAEConfig
from latentcore.systems.autoencoder.config import PRESETS, AutoencodingConfig
from latentcore.systems.autoencoder.training import Training
from latentcore.training import Augmentation, TrainConfig
from latentcore.training.sources import Images

NETWORK = {"image_shape": (1, 12, 12), "latent": 3, "network": MLPConfig(hidden=(32,), decoder_hidden=(32,))}
TRAIN = TrainConfig(epochs=4, batch_size=30, learning_rate=5e-3, schedule="one-cycle")
VARIATIONAL = AutoencodingConfig(vae=VAEConfig(**NETWORK), train=TRAIN)
PLAIN = AutoencodingConfig(autoencoder=AutoencoderConfig(**NETWORK, likelihood=GaussianConfig()), train=TRAIN)
TOLD = AutoencodingConfig(vae=VAEConfig(**NETWORK, classes=3), train=TRAIN)


@pytest.mark.parametrize("config", [VARIATIONAL, PLAIN, TOLD], ids=["vae", "autoencoder", "classes"])
def test_it_learns_and_its_run_says_the_same_again(tmp_path, images, config):
    labels = torch.arange(3).repeat(100) if config.network.classes else None
    longer = dataclasses.replace(config, train=dataclasses.replace(TRAIN, epochs=8))
    run = train("autoencoder", images, config=longer, run_dir=tmp_path / "run", labels=labels)
    rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    losses = [float(row.split(",")[1]) for row in rows[1:]]
    assert losses[-1] < 0.9 * losses[0]
    again = load_run(tmp_path / "run")
    drawn = run.reconstruct(images, labels)
    assert drawn.shape == (300, 1, 12, 12)
    assert torch.equal(drawn, again.reconstruct(images, labels))
    assert run.sample(4, None if labels is None else labels[:4]).shape == (4, 1, 12, 12)
    assert run.metrics.keys() == {"seconds", "parameters", "images_per_second", "loss"}
    assert run.metrics["loss"] == pytest.approx(losses[-1])
    assert run.decode(torch.empty(0, 3), None if labels is None else labels[:0]).shape == (0, 1, 12, 12)


def test_labels_are_wanted_or_not(tmp_path, images):
    with pytest.raises(ValueError, match="labels: expected one of 3 classes for each image, got none"):
        train("autoencoder", images, config=TOLD, run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match=r"labels: expected whole numbers in \[0, 3\), got 0 to 3"):
        train("autoencoder", images, config=TOLD, run_dir=tmp_path / "run", labels=torch.arange(300) % 4)
    assert not (tmp_path / "run").exists()


def test_labels_that_nobody_is_told_change_nothing(tmp_path, images, labels, interrupted_at):
    train("autoencoder", images, config=PLAIN, run_dir=tmp_path / "one")
    with interrupted_at(25), pytest.raises(KeyboardInterrupt):
        train("autoencoder", images, config=PLAIN, run_dir=tmp_path / "two", labels=labels)
    resume(tmp_path / "two", images)
    one, two = (load_run(tmp_path / name).encode(images) for name in ("one", "two"))
    assert torch.equal(one, two)


def test_a_sample_is_of_the_class_that_is_asked_for(tmp_path, images):
    config = dataclasses.replace(TOLD, train=dataclasses.replace(TRAIN, epochs=30))
    run = train("autoencoder", images, config=config, run_dir=tmp_path / "run", labels=torch.arange(3).repeat(100))
    drawn = run.sample(60, torch.arange(3).repeat(20))[:, 0]
    stripe, column, corner = (drawn[kind::3].mean(0) for kind in range(3))
    assert float(stripe[4:7].mean()) > float(stripe[8:].mean()) + 0.3
    assert float(column[:, 4:7].mean()) > float(column[:, 8:].mean()) + 0.3
    assert float(corner[:6, :6].mean()) > float(corner[6:, 6:].mean()) + 0.3


def test_a_resumed_run_ends_bitwise_like_an_undisturbed_one(tmp_path, images, interrupted_at):
    network = VAEConfig(**NETWORK, noise=0.2)
    settings = dataclasses.replace(TRAIN, checkpoint_every=4, binarise=True, augmentation=Augmentation(translate=1))
    config = AutoencodingConfig(vae=network, train=settings)
    train("autoencoder", images, config=config, run_dir=tmp_path / "one")
    with interrupted_at(17), pytest.raises(KeyboardInterrupt, match="goes on from it"):
        train("autoencoder", images, config=config, run_dir=tmp_path / "two")
    resume(tmp_path / "two", images)
    states = [torch.load(tmp_path / name / "checkpoints/model.pth", weights_only=True) for name in ("one", "two")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0] if key != "_extra_state")
    with pytest.raises(ValueError, match="data: expected the data with which"):
        resume(tmp_path / "two", images.flip(0))


def test_pixels_are_drawn_black_or_white(images):
    source = Images(images[:, None], binarise=True)
    rows = torch.arange(300)
    (seen, target), (again, _) = source.batch(rows, None), source.batch(rows, None)
    assert torch.equal(seen, target)
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(seen, again)
    means = torch.stack([source.batch(rows, None)[0] for _ in range(400)]).mean(0)
    torch.testing.assert_close(means, images[:, None] / 255, atol=0.15, rtol=0)


def test_a_run_in_float64_takes_images_as_any_other(tmp_path, images):
    settings = dataclasses.replace(TRAIN, epochs=1, precision="64-true")
    run = train(
        "autoencoder", images, config=dataclasses.replace(VARIATIONAL, train=settings), run_dir=tmp_path / "run"
    )
    assert run.reconstruct(images).dtype == torch.float32
    assert torch.equal(run.encode(images), load_run(tmp_path / "run").encode(images))


def test_validation_images_are_validated_as_they_are(tmp_path, images, monkeypatch):
    seen, draw = [], Images.batch

    def remember(self, rows, draws):
        found = draw(self, rows, draws)
        seen.append(found[0])
        return found

    held_out = images[:40, None]
    monkeypatch.setattr(Images, "batch", remember)
    settings = dataclasses.replace(TRAIN, epochs=2, batch_size=40, binarise=True)
    config = dataclasses.replace(TOLD, train=settings)
    labels = torch.arange(3).repeat(100)
    words = {"config": config, "run_dir": tmp_path / "run", "labels": labels[40:]}
    train("autoencoder", images[40:], **words, validation=(held_out, labels[:40]))
    validated = [batch for batch in seen if len(batch.unique()) > 2]
    assert len(validated) == 2
    assert all(torch.equal(batch, held_out / 255) for batch in validated)
    with pytest.raises(ValueError, match="labels of validation: expected one of 3 classes for each image, got none"):
        train("autoencoder", images, config=config, run_dir=tmp_path / "other", labels=labels, validation=held_out)


def test_one_network_is_given():
    with pytest.raises(ValueError, match=r"AutoencodingConfig: expected a vae or an autoencoder, .* got none"):
        AutoencodingConfig()
    with pytest.raises(ValueError, match="got both"):
        AutoencodingConfig(vae=VAEConfig(), autoencoder=AutoencoderConfig())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_models_and_travel_through_json(name):
    config = PRESETS[name]
    assert AutoencodingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    model = Training.build(config)
    images = torch.rand(2, 1, 28, 28)
    labels = torch.tensor([3, 8]) if config.network.classes else None
    assert model(images, labels).logits.shape == images.shape
    assert sum(p.numel() for p in model.parameters()) < 3_000_000
