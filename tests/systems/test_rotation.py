import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from rotations import ANGLES, CONFIG, FROZEN, TRAIN, bars, trained, with_operator

import latentcore
from latentcore import ops
from latentcore.models import load_vae
from latentcore.systems.rotation.config import PairsConfig, RotationConfig, TransformationWeights
from latentcore.systems.rotation.sweep import sharing
from latentcore.training import driver


@pytest.fixture
def images():
    return bars()


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(TRAIN, epochs=70))
    return trained(bars(), config, tmp_path_factory.mktemp("learned") / "run")


@pytest.mark.parametrize("angle", ANGLES)
def test_turned_latents_are_decoded_to_turned_images(learned, images, angle):
    z, truth = learned.encode(images), ops.rotate(images[:, None] / 255, angle)
    error = (learned.decode(learned.transform(z, angle)) - truth).square().mean()
    assert error < 0.15 * (learned.decode(z) - truth).square().mean()
    assert error < 0.15 * (learned.decode(learned.transform(z, -angle)) - truth).square().mean()
    by_parts = learned.transform(learned.transform(z, angle - 20), 20)
    torch.testing.assert_close(by_parts, learned.transform(z, angle), rtol=1e-4, atol=1e-4)


def test_every_latent_has_an_angle_of_its_own(learned, images):
    z = learned.encode(images[:4])
    together = learned.transform(z, np.array(ANGLES))
    for n, angle in enumerate(ANGLES):
        torch.testing.assert_close(together[n], learned.transform(z[n : n + 1], angle + 720)[0], rtol=1e-4, atol=1e-5)


def test_the_frozen_way_learns_too(tmp_path, images):
    config = dataclasses.replace(
        with_operator("mlp", FROZEN, hidden=(64, 64)),
        vae=CONFIG.vae,
        vae_train=dataclasses.replace(TRAIN, epochs=30),
        train=dataclasses.replace(TRAIN, epochs=30),
        pairs=PairsConfig(angles=(0.0, 20.0), upright=1.0),
        loss=TransformationWeights(image=0.0, latent=1.0),
    )
    run = trained(images, config, tmp_path / "run")
    goal = run.encode((255 * ops.rotate(images[:, None] / 255, 20.0)).round().to(torch.uint8))
    z = run.encode(images)
    assert (run.transform(z, 20.0) - goal).square().mean() < 0.5 * (z - goal).square().mean()


@pytest.mark.long
def test_scales_and_translations_are_learned(tmp_path, images):
    config = dataclasses.replace(
        with_operator("mlp", hidden=(64, 64)),
        pairs=PairsConfig(angles=(0.0,), translate=2.0, scale=(0.9, 1.1), upright=1.0),
        train=dataclasses.replace(TRAIN, epochs=60),
    )
    run = trained(images, config, tmp_path / "run")
    z, truth = run.encode(images), images[:, None].roll(2, 2) / 255
    down = (run.decode(run.transform(z, translate=(0.0, 2.0))) - truth).square().mean()
    assert down < 0.4 * (run.decode(z) - truth).square().mean()
    assert down < 0.4 * (run.decode(run.transform(z, translate=(0.0, -2.0))) - truth).square().mean()


# runs and their folders


@pytest.mark.parametrize("kind", ["equivariant", "mlp", "step", "recurrent", "transformer", "zoom"])
def test_every_kind_loads_again(rotation_runs, images, kind):
    run, loaded = rotation_runs[kind], latentcore.load_run(rotation_runs[kind].folder)
    z = run.encode(images)
    options = {"scale": 1.2, "translate": (1.0, -1.0)} if kind == "zoom" else {"angle": 60.0}
    moved = run.transform(z, **options)
    assert moved.shape == z.shape
    assert not torch.equal(moved, z)
    assert torch.equal(loaded.encode(images.numpy()), z)
    assert torch.equal(loaded.transform(z.numpy(), **options), moved)
    assert torch.equal(loaded.decode(moved), run.decode(moved))
    assert loaded.config == run.config
    assert loaded.transform(z[:0]).shape == (0, 12)


def test_the_folder_holds_what_was_promised(rotation_runs):
    run = rotation_runs["equivariant"]
    files = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    promised = {"config.json", "metrics.csv", "metrics.json", "checkpoints/last.pth", "checkpoints/model.pth"}
    assert promised <= files
    with (run.folder / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    terms = ["loss", "reconstruction", "kl", "latent", "cosine"]
    assert list(row) == ["epoch", *terms, "seconds", "images_per_second"]
    assert float(row["loss"]) == pytest.approx(float(row["reconstruction"]) + 0.2 * float(row["kl"]), rel=1e-4)
    assert [run.metrics[term] for term in terms] == [float(row[term]) for term in terms]
    assert run.metrics["operator_parameters"] == 12 * 12
    assert run.metrics["parameters"] == 12 * 12 + sum(p.numel() for p in run.model.parameters())
    plain = json.loads((run.folder / "config.json").read_text())
    assert plain.pop("system") == "rotation"
    assert len(plain.pop("data")) == 64
    assert plain.pop("format") == 3
    assert plain.pop("source") == {"image_shape": [1, 12, 12]}
    assert RotationConfig.from_dict(plain) == run.config


@pytest.mark.parametrize("config", [CONFIG, FROZEN])
def test_configurations_travel_through_json(config):
    assert RotationConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_frozen_vae_stays_as_it_was_trained(tmp_path, images):
    run = trained(images, FROZEN, tmp_path / "run")
    alone = latentcore.load_run(run.folder / "vae")
    kept = load_vae(run.folder / "vae" / "checkpoints" / "model.pth")
    for model in (alone.model, kept):
        for name, value in model.state_dict().items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, run.model.state_dict()[name]), name
    assert torch.equal(alone.encode(images), run.encode(images))
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == FROZEN.train.epochs
    for row in rows:
        value = {term: float(row[term]) for term in ("loss", "reconstruction", "latent", "cosine")}
        expected = value["reconstruction"] + 0.1 * value["latent"] + 0.1 * value["cosine"]
        assert value["loss"] == pytest.approx(expected, rel=1e-4)
    # the VAE of one run serves another
    other = with_operator("equivariant", FROZEN)
    system = sharing(run.folder / "vae")
    again = driver.train(system, system.part("data").given(images, other), other, tmp_path / "other")
    assert torch.equal(again.encode(images), run.encode(images))
    assert (again.folder / "vae" / "metrics.csv").read_text() == (run.folder / "vae" / "metrics.csv").read_text()
    assert not list(again.folder.glob(".*"))


def test_the_seed_sets_everything_and_the_callers_random_state_stays(rotation_runs, tmp_path, images):
    one = rotation_runs["transformer"]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    two = trained(images / 255, one.config, tmp_path / "run")  # floats that are rounded to the same bytes
    assert torch.equal(torch.get_rng_state(), state)
    assert two.about["data"] == one.about["data"]
    z = one.encode(images)
    assert torch.equal(two.encode(images), z)
    assert torch.equal(two.transform(z, 60.0), one.transform(z, 60.0))
