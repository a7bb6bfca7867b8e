"""Trainings that nothing will come of end with an error, and what was good before stays."""

import csv
import dataclasses

import pytest
import torch
from torch.utils._pytree import tree_leaves

from latentcore.models import VAE, MLPConfig, VAEConfig
from latentcore.training import TrainConfig, create_run, fit
from latentcore.training.checkpoint import last_path

CONFIG = TrainConfig(epochs=20, batch_size=64, learning_rate=10.0, device="cpu")


def train(folder, *, model=None, **changes):
    create_run("vae", {}, folder)
    torch.manual_seed(0)
    model = model or build()
    noise = torch.randint(256, (64, 12, 12), dtype=torch.uint8)
    return fit(model, noise, dataclasses.replace(CONFIG, **changes), folder)


def build():
    return VAE(VAEConfig(image_shape=(1, 12, 12), network=MLPConfig(hidden=(16,), decoder_hidden=(16,))))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    model = build()
    with torch.no_grad():
        model.decoder[0].weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"loss: expected finite numbers, got .*nan.* in epoch 0"):
        train(tmp_path, model=model)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_loss_that_explodes_ends_the_training_with_the_checkpoint_of_before(tmp_path):
    """It stays finite: what was learned is lost all the same."""
    with pytest.raises(FloatingPointError, match=r"loss: expected at most .*, 1000 times .* in epoch [1-9]\d*; lower"):
        train(tmp_path, schedule="one-cycle")
    with (tmp_path / "metrics.csv").open() as file:
        kept = [float(row["loss"]) for row in csv.DictReader(file)]
    assert max(kept) < 1000 * kept[0]
    content = tree_leaves(torch.load(last_path(tmp_path), weights_only=True))
    assert all(value.isfinite().all() for value in content if isinstance(value, torch.Tensor))


def test_weights_that_explode_in_the_last_step_are_not_kept(tmp_path):
    """No step sees their loss."""
    with pytest.raises(FloatingPointError, match=r"loss: expected at most .* in epoch 0; lower"):
        train(tmp_path, epochs=1)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_an_early_stop_needs_what_it_looks_at(tmp_path):
    with pytest.raises(ValueError, match=r"TrainConfig.early_stop: expected 0 without validation data.*, got 3"):
        train(tmp_path, early_stop=3)
    assert not list((tmp_path / "checkpoints").iterdir())
